"""A response that gets the CORS headers of the innermost middleware on its way out."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..faces.cors import refuses
from .messages import body, start

if TYPE_CHECKING:
    from ..cors.outcome import Answer, Outcome
    from ..servers.asgi_types import Message, Receive, Scope, Send

__all__ = ["RESPONSE_KEY", "App", "CorsResponse", "send_answer"]

_log = logging.getLogger("heliograph.cors")

# Frameworks' types of these are not compatible with each other: asgiref's dicts are not
# Starlette's mappings.
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
_Headers: TypeAlias = list[tuple[bytes, bytes]]

RESPONSE_KEY = "heliograph.cors"
"""The key of a scope under which middleware further in finds the response."""


class CorsResponse:
    """
    A response whose headers are added where it leaves the outermost layer of ours.

    Args:
        send: The server's, or that of what is further out.
        outcome: The outermost middleware's; :obj:`None` if that is further in.

    Attributes:
        outcome: The innermost middleware's; :obj:`None` as long as there is none.
    """

    def __init__(self, send: Send, outcome: Outcome | None) -> None:
        self.outcome = outcome
        self._is_started = False
        self._is_refused = False
        self._send = send

    async def run(
        self, app: App, scope: Scope, receive: Receive, *, is_outermost: bool
    ) -> None:
        """
        Call an application with this response.

        The scope has this response meanwhile. It is not copied: what the application adds
        to it (the route, the user) is read by what is further out.

        Args:
            app: The application.
            scope: The scope of the request.
            receive: The server's.
            is_outermost: Whether nothing else answers if the application raises.

        Raises:
            Exception: What the application raises, unless the refusal of a stream is the
                cause.
        """
        scope[RESPONSE_KEY] = self
        try:
            await app(scope, receive, self.send)
        except Exception as error:
            if self._is_refused and _is_caused_by_refusal(error):
                _log.debug("the application ended with %r", error)
                return
            if is_outermost and not self._is_started:
                await _send_text(self.send, 500, "Internal Server Error", ())
            raise
        finally:
            scope.pop(RESPONSE_KEY, None)

    async def send(self, message: Message) -> None:
        """
        Send a message, with the headers in the one that begins the response.

        Args:
            message: See the ASGI specification.

        Raises:
            OSError: The response is a stream that was refused.
        """
        if self._is_refused:
            raise _RefusedError("the stream was refused")
        outcome = self.outcome
        if message["type"] == "http.response.start" and outcome is not None:
            headers: _Headers = list(message.get("headers", ()))
            present = _present_in(headers)
            if refuses(outcome, present):
                self._is_refused = self._is_started = True
                await send_answer(self._send, outcome.answer())
                raise _RefusedError("the stream was refused")
            fields = _encoded(outcome.fields(present))
            if any(name != b"vary" and present(name.decode()) for name, _ in fields):
                ours = {name for name, _ in fields} - {b"vary"}
                headers = [field for field in headers if field[0].lower() not in ours]
            message = {**message, "headers": headers + fields}
        self._is_started = True
        await self._send(message)


class _RefusedError(OSError):
    """The error of ``send`` after a stream was refused: as if its client had gone."""


async def send_answer(send: Send, answer: Answer) -> None:
    """
    Send a whole response in the application's stead.

    Args:
        send: The server's.
        answer: The response.
    """
    await _send_text(send, answer.status, answer.text, answer.fields)


async def _send_text(
    send: Send, status: int, text: str, more: tuple[tuple[str, str], ...]
) -> None:
    data = text.encode()
    headers: list[tuple[str, str]] = []
    if data:
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
        headers.append(("Content-Length", str(len(data))))
    await send(start(status, [*headers, *more]))
    await send(body(data, more=False))


def _is_caused_by_refusal(error: BaseException | None) -> bool:
    """Return whether ``send`` raised an exception, or it was raised because of that."""
    while error is not None:
        if isinstance(error, _RefusedError):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(map(_is_caused_by_refusal, error.exceptions))
        error = error.__cause__ or error.__context__
    return False


def _present_in(headers: _Headers) -> Callable[[str], Sequence[str]]:
    """Return what returns the values of a field. Mostly there is no such field."""
    names = {name.lower() for name, _ in headers}

    def present(name: str) -> Sequence[str]:
        wanted = _field_name(name)
        if wanted not in names:
            return ()
        return [value.decode("latin-1") for n, value in headers if n.lower() == wanted]

    return present


def _encoded(fields: tuple[tuple[str, str], ...]) -> _Headers:
    return [(_field_name(name), value.encode()) for name, value in fields]


@functools.cache  # of the names that policies use, not of those that clients send
def _field_name(name: str) -> bytes:
    return name.lower().encode()
