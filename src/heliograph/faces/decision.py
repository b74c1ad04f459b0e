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

from ..channels.names import check_selection
from ..channels.start import Start
from ..errors import InvalidFieldError
from ..hub import Admission
from .access import may_listen
from .negotiation import coding_of
from .refusal import Refusal
from .request import METHODS
from .tokens import InvalidTokenError, check_token, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..channels.options import ChannelPatterns
    from .access import Access
    from .request import StreamRequest

__all__ = ["NeedsVerdict", "admission_by_view", "decide"]

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
    admission = _admission(
        request,
        query.channels,
        access.channels,
        last_event_id=query.last_event_id,
        start=query.start,
        # Guarded streams that ask for a window are refused by configuration, and yet
        # what that overlooks must not leak. Whoever has a token is one of few.
        is_private=access.is_guarded or query.token is not None,
    )
    return _let_in(admission, query.token, access, now)


def admission_by_view(
    request: StreamRequest,
    channels: Iterable[str],
    options: ChannelPatterns,
    *,
    start: object = "retained",
    expires_in: object = None,
    is_traced: bool = False,
    now: float,
) -> Admission | Refusal:
    """
    Return the admission to a stream that a view of the application lets a client have.

    The view has decided who may listen, and to what: of the request only the id to resume
    after counts, in ``Last-Event-ID`` or the query. All methods are allowed.

    Args:
        request: The values of the request.
        channels: The channels of the stream, 1 to 64.
        options: The options of channels.
        start: Where the stream begins without an id. See :meth:`.Start.parse`.
        expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`, after which the
            stream ends; :obj:`None` for no end.
        is_traced: See :class:`.Admission`.
        now: The time, in seconds since the epoch of Unix.

    Returns:
        The admission; a refusal with 400 if the client's id is not valid.

    Raises:
        InvalidFieldError: A channel, their number, ``start`` or ``expires_in`` is not
            valid.
    """
    names, begins = check_selection(channels), Start.parse(start)
    expires_at = None if expires_in is None else now + seconds_of(expires_in)
    try:
        last_event_id = request.last_event_id()
    except InvalidFieldError as error:
        return Refusal(400, str(error))
    admission = _admission(
        request,
        names,
        options,
        last_event_id=last_event_id,
        start=begins,
        # It is not known whom the view lets in, so a shared window might leak.
        is_private=True,
    )
    return dataclasses.replace(admission, expires_at=expires_at, is_traced=is_traced)


def _admission(
    request: StreamRequest,
    channels: tuple[str, ...],
    options: ChannelPatterns,
    *,
    last_event_id: str | None,
    start: Start,
    is_private: bool,
) -> Admission:
    return Admission(
        channels=channels,
        last_event_id=last_event_id,
        start=start,
        address=None if request.address in _UNIX_SOCKET else request.address,
        arrived_at=request.arrived_at,
        coding=coding_of(
            [options.options_of(name).compression for name in channels],
            request.headers.get("accept-encoding"),
            is_private=is_private,
        ),
    )


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
