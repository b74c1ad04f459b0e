"""
Whether a client gets a stream: a pure function of the request and the settings.

A valid token lets in without a verdict, and a token that is not valid is refused even where
none is needed: whoever sends one expects it to count. Without a token the application's
authorizer decides if there is one, else ``private``.

An admission also says how the stream is compressed, since that depends on who may have it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidFieldError
from ..hub import Admission
from .access import may_listen
from .negotiation import coding_of
from .refusal import Refusal
from .request import METHODS
from .tokens import InvalidTokenError, check_token

if TYPE_CHECKING:
    from .access import Access
    from .request import StreamRequest

__all__ = ["NeedsVerdict", "decide"]

# What servers report as the address of a client that connects through a Unix socket. It is
# not the address of one client, so no cap for an address applies to it.
_UNIX_SOCKET = frozenset({"", "0.0.0.0", "<local>", "localhost"})  # noqa: S104 - not bound


@dataclass(frozen=True, slots=True)
class NeedsVerdict:
    """
    A request that the application's authorizer decides about.

    Args:
        admission: The stream that the client may open if the verdict lets it in.
        private: Whether the application asked for privacy.
    """

    admission: Admission
    private: bool

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels to ask the authorizer about, sorted, each once."""
        return self.admission.channels

    def settle(self, verdict: object) -> Admission | Refusal:
        """
        Return the decision that a verdict leads to.

        Args:
            verdict: What the authorizer returned, awaited if it was awaitable.

        Raises:
            TypeError: The verdict is not ``True``, ``False`` or :obj:`None`.
        """
        if may_listen(verdict, private=self.private):
            return self.admission
        return Refusal(403, "not allowed to listen to these channels")


def decide(
    request: StreamRequest, access: Access, *, now: float
) -> Admission | Refusal | NeedsVerdict:
    """
    Decide whether a client gets the stream that it asks for.

    Args:
        request: The values of the request.
        access: Who may open a stream.
        now: The time, in seconds since the epoch of Unix: tokens expire.

    Returns:
        The admission; a refusal with 400 (a field is not valid), 403 (not let in) or 405;
        or what :meth:`NeedsVerdict.settle` makes one of the two of.
    """
    if request.method not in METHODS:
        # RFC 9110 section 15.5.6: the response must say which methods there are.
        allow = ("Allow", ", ".join(METHODS))
        return Refusal(405, "a stream must be requested with GET", (allow,))
    try:
        query = request.query()
    except InvalidFieldError as error:
        return Refusal(400, str(error))
    admission = Admission(
        channels=query.channels,
        last_event_id=query.last_event_id,
        start=query.start,
        expires_at=None,
        address=None if request.address in _UNIX_SOCKET else request.address,
        arrived_at=request.arrived_at,
        coding=coding_of(
            [access.channels.options_of(name).compression for name in query.channels],
            request.headers.get("accept-encoding"),
            # Guarded streams that ask for a window are refused by configuration, and yet
            # what that overlooks must not leak. Whoever has a token is one of few.
            is_private=access.is_guarded or query.token is not None,
        ),
    )
    return _let_in(admission, query.token, access, now)


def _let_in(
    admission: Admission, token: str | None, access: Access, now: float
) -> Admission | Refusal | NeedsVerdict:
    if token is not None:
        try:
            expires_at = check_token(access.keys, token, admission.channels, now=now)
        except InvalidTokenError as error:
            return Refusal(403, str(error))
        return dataclasses.replace(admission, expires_at=expires_at)
    if access.has_authorizer:
        return NeedsVerdict(admission, access.private)
    if access.private:
        return Refusal(403, "a signed URL is needed")
    if access.hook_sees_one_channel and len(admission.channels) > 1:
        return Refusal(
            403,
            "where before_request guards the stream, several channels need an authorizer"
            " or a signed URL",
        )
    return admission
