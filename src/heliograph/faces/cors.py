"""CORS for every face: what is logged of policies, requests and handshakes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..cors.decision import ALLOW_ORIGIN
from ..servers.log_once import warn_once
from .cors_log import RefusalLog

if TYPE_CHECKING:
    from ..cors import CorsPolicy, CorsRequest
    from ..cors.handshake import HandshakePolicy
    from ..cors.outcome import Outcome, Present

__all__ = ["judge_handshake", "log_refused_preflight", "refuses", "warn_of"]

_log = logging.getLogger("heliograph.cors")
_refusals = RefusalLog(_log)


def refuses(outcome: Outcome, present: Present) -> bool:
    """
    Return whether a page gets a refusal in place of a stream; log what it may not read.

    It is logged when the response is sent, and not when it was decided: a policy further in
    may decide otherwise, and the application may have an ``Access-Control-Allow-Origin`` of
    its own.

    Args:
        outcome: The outcome of the request.
        present: Returns the values of the response's fields by their name.
    """
    reason = outcome.decision.reason
    if reason is None or present(ALLOW_ORIGIN):
        return False
    is_refused = outcome.refuses_stream(present)
    _refusals.add(outcome.request, reason, is_answered=not is_refused)
    return is_refused


def log_refused_preflight(outcome: Outcome) -> None:
    """
    Log that a preflight is refused, if it is.

    Args:
        outcome: The outcome of the preflight.
    """
    if outcome.decision.reason is not None:
        _refusals.add(outcome.request, outcome.decision.reason)


def warn_of(policy: CorsPolicy) -> None:
    """
    Log what a policy allows, and was probably not meant to, once in a process.

    Args:
        policy: A policy that comes into use.
    """
    for sentence in policy.warnings:
        warn_once(_log, sentence, sentence)


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
