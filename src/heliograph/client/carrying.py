"""What both faces do with the HTTP library, and with functions of their caller."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import httpx2

from ..errors import ConfigError, EventSourceError, StreamRefusedError
from .actions import CREDENTIALS, Head, Target
from .events import Opening, ReadyState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from .actions import Connect, Follow, Wait
    from .machine import Machine
    from .settings import Settings

__all__ = [
    "MAX_BODY_BYTES",
    "NETWORK_ERRORS",
    "REASON_SECONDS",
    "Hooks",
    "Renewal",
    "SilenceError",
    "check_client",
    "following",
    "head_of",
    "log_wait",
    "opening_of",
    "passes",
    "renewed",
    "request_of",
    "with_params",
]

_log = logging.getLogger("heliograph.client")

# How much of an answer that is no stream is read, for the message of the error.
MAX_BODY_BYTES = 2048
REASON_SECONDS = 5.0

# Longest time for a TCP connection and its TLS handshake. Browsers wait longer, but try
# the next attempt beside it.
_CONNECT_SECONDS = 10.0

NETWORK_ERRORS = (httpx2.RequestError, httpx2.StreamError, OSError)
"""What the HTTP library raises for a request, and renew functions for their own."""


class SilenceError(httpx2.ReadTimeout):
    """The server has sent no byte for too long, so it counts as lost."""

    @classmethod
    def of(cls, machine: Machine) -> Self:
        """
        Return the error of what was waited for.

        Args:
            machine: The machine, before it is told.
        """
        is_open = machine.ready_state is ReadyState.OPEN
        seconds = machine.silence_seconds if is_open else machine.head_seconds
        return cls.after(seconds)

    @classmethod
    def after(cls, seconds: float | None) -> Self:
        """
        Return the error of a limit.

        Args:
            seconds: The limit that has passed.
        """
        return cls(f"no byte for {seconds:g} seconds")


_Client: TypeAlias = httpx2.Client | httpx2.AsyncClient

Renewal: TypeAlias = Target | str | None
"""What a ``renew`` function returns."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """
    Functions of the caller, and credentials.

    Attributes:
        auth: What the HTTP library takes; :obj:`None` for none.
        renew: Called before each reconnect; :obj:`None` for none, and so for the others.
        on_open: Called for each connection that is accepted.
        on_error: Called before each wait for a reconnect.
        on_close: Called at the end.
    """

    auth: Any
    renew: Callable[[Target], Any] | None
    on_open: Callable[[Opening], object] | None
    on_error: Callable[[Exception | None, float], object] | None
    on_close: Callable[[], object] | None

    def credentials(self, action: Connect | Follow) -> dict[str, Any]:
        """
        Return the argument of the HTTP library for credentials; none for its client's own.

        Args:
            action: The request that is sent.
        """
        if not action.may_authenticate:
            return {"auth": None}
        return {} if self.auth is None else {"auth": self.auth}


def check_client(client: object, kind: type) -> None:
    """
    Raise an error if a client is not of the kind that a face needs.

    Args:
        client: The caller's client; :obj:`None` for none.
        kind: A class of the HTTP library.

    Raises:
        ConfigError: It is of another kind.
    """
    if client is None or isinstance(client, kind):
        return
    found = f"{type(client).__module__}.{type(client).__qualname__}"
    raise ConfigError([f"client must be an httpx2.{kind.__name__}, not {found}"])


def passes(error: Exception) -> bool:
    """
    Return whether another attempt may succeed.

    Args:
        error: One of :data:`NETWORK_ERRORS`.
    """
    # A field that HTTP cannot carry, and a scheme that nobody speaks.
    return not isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol)


def with_params(url: str, params: Any) -> str:
    """
    Return an address with parameters added to its query.

    Args:
        url: The address.
        params: What the HTTP library accepts; :obj:`None` for none.

    Raises:
        ConfigError: The address is not valid.
    """
    try:
        address = httpx2.URL(url)
        # Ports over 65535 pass there.
        urlsplit(str(address)).port  # noqa: B018 - raises
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        raise ConfigError([f"url must be an address of http or https: {error}"]) from None
    for name, value in httpx2.QueryParams(params).multi_items():
        address = address.copy_add_param(name, value)
    return str(address)


def opening_of(response: httpx2.Response, last_event_id: str) -> Opening:
    """
    Return what ``on_open`` is called with.

    Args:
        response: The response that began.
        last_event_id: The id that was sent.
    """
    head = head_of(response)
    return Opening(head.url, head.headers, last_event_id)


def request_of(
    client: _Client,
    settings: Settings,
    action: Connect,
    *,
    read_seconds: float | None,
    extensions: dict[str, Any] | None = None,
) -> httpx2.Request:
    """
    Return the request of an attempt.

    Args:
        client: What sends it.
        settings: Those of the event source.
        action: What the machine wants to be sent.
        read_seconds: The longest silence that the HTTP library allows; :obj:`None` for any.
        extensions: What the HTTP library calls so; :obj:`None` for none.
    """
    request = client.build_request(
        settings.method,
        action.url,
        headers=action.headers,
        content=settings.content,
        timeout=httpx2.Timeout(_CONNECT_SECONDS, read=read_seconds),
        extensions=extensions,
    )
    if not action.may_authenticate:
        # The caller has not chosen this address: a redirect has led to it.
        for name in CREDENTIALS & {name.lower() for name in client.headers}:
            request.headers.pop(name, None)
    return request


def following(
    client: _Client, request: httpx2.Request, connect: Connect, action: Follow
) -> httpx2.Request:
    """
    Return the request that follows a redirect.

    Args:
        client: What sends it.
        request: The request that the HTTP library has built for it.
        connect: The first request of the attempt.
        action: What the machine has decided.
    """
    if action.may_authenticate:
        # The HTTP library drops a Cookie that is written by hand at each redirect.
        first = client.build_request("GET", request.url, headers=connect.headers)
        if "cookie" in first.headers:
            request.headers["Cookie"] = first.headers["Cookie"]
    return request


def head_of(response: httpx2.Response) -> Head:
    """
    Return the head of a response, as the machine reads it.

    Args:
        response: A response whose redirect was not followed.
    """
    following = response.next_request
    return Head(
        url=str(response.url),
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        location=None if following is None else str(following.url),
    )


def renewed(target: Target, answer: Renewal) -> Target:
    """
    Return where to connect to after a ``renew`` function.

    Args:
        target: The target so far.
        answer: What the function has returned: a target, an address, or :obj:`None` for
            no change.
    """
    if answer is None:
        return target
    if not isinstance(answer, str | Target):
        raise TypeError(
            f"renew must return a Target, an address or None, not {type(answer).__name__}"
        )
    if isinstance(answer, str):
        answer = replace(target, url=answer)
    return answer


def log_wait(action: Wait, machine: Machine, *, is_told: bool) -> None:
    """
    Write to the log why a stream is interrupted.

    Args:
        action: What the machine has decided.
        machine: The machine.
        is_told: Whether the caller has a function for errors.
    """
    # A misspelt host would else be tried for ever, in silence.
    is_news = machine.failures == 1 and not is_told
    error = action.error
    if not isinstance(error, StreamRefusedError):
        reason = (
            "the stream has ended" if error is None else str(error) or type(error).__name__
        )
        error = EventSourceError(machine.url, reason)
    _log.log(
        logging.WARNING if is_news else logging.DEBUG,
        "%s; next attempt in %.3g s%s",
        error,
        action.seconds,
        ". Further failures in a row are logged at DEBUG" if is_news else "",
    )
