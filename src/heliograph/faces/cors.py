"""CORS for every face: decide, and log what is refused (``cors_log``)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..cors import CorsPolicy, CorsRequest, Decision, decide
from ..cors.outcome import Outcome
from .cors_log import RefusalLog

if TYPE_CHECKING:
    from ..cors.handshake import HandshakePolicy

__all__ = ["judge", "judge_handshake", "judged"]

_refusals = RefusalLog(logging.getLogger("heliograph.cors"))


def judge(policy: CorsPolicy, request: CorsRequest) -> Outcome:
    """
    Decide what a page may do and read, and log a refusal.

    Args:
        policy: The policy that applies.
        request: The request.

    Raises:
        TypeError: A function among the origins is async, or returned no bool.
        Exception: What such a function raises.
    """
    return judged(policy, request, decide(policy, request))


async def judge_handshake(
    policy: HandshakePolicy, request: CorsRequest, *, scheme: str, has_credentials: bool
) -> str | None:
    """
    Return why a WebSocket handshake is refused, and log it.

    Args:
        policy: The policy that applies.
        request: The handshake.
        scheme: The scheme of the connection that the server sees: ``ws`` or ``wss``.
        has_credentials: Whether it carries ``Cookie`` or ``Authorization``.

    Returns:
        The reason, in one sentence of ASCII; :obj:`None` if the handshake is allowed.

    Raises:
        TypeError: A function among the origins returned no bool.
        Exception: What such a function raises.
    """
    reason = await policy.refusal(request, scheme=scheme, has_credentials=has_credentials)
    if reason is not None:
        _refusals.add(request, reason, is_handshake=True)
    return reason


def judged(policy: CorsPolicy, request: CorsRequest, decision: Decision) -> Outcome:
    """
    Return the outcome of a decision, and log a refusal.

    For a face that waits for :func:`~heliograph.cors.decide_async` itself: another
    coroutine for each request would cost more than the rest of this.

    Args:
        policy: The policy that applies.
        request: The request.
        decision: What the policy decided about it.
    """
    if decision.reason is not None:
        _refusals.add(request, decision.reason)
    return Outcome(policy, request, decision)
