"""The event loop of the hub's thread: uvloop's if it is installed, else asyncio's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from ... import native

__all__ = ["new_event_loop"]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop, to be run in a thread of the operating system."""
    try:
        # Optional, and not before it is needed. A signal handler may publish within this
        # very import, and then finds a module without a name.
        from uvloop import new_event_loop as new_uvloop  # noqa: PLC0415 - see above
    except ImportError:
        return _Loop(native.original("selectors", "DefaultSelector")())
    loop: asyncio.AbstractEventLoop = new_uvloop()
    return loop


class _Loop(asyncio.SelectorEventLoop):
    """
    A loop that looks names up in threads of the operating system.

    asyncio does it in an executor, whose threads are greenlets under gevent and eventlet,
    which nobody continues here; and an executor takes nothing more from the end of the main
    thread on, when an ``atexit`` hook may still publish.
    """

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look a name up. See :meth:`asyncio.loop.getaddrinfo`."""
        found: asyncio.Future[list[Any]] = self.create_future()

        def look_up() -> None:
            result: list[Any] = []
            error: Exception | None = None
            try:
                result = native.original("socket", "getaddrinfo")(
                    host, port, family, type, proto, flags
                )
            except Exception as raised:  # noqa: BLE001 - handed to the caller
                error = raised
            # If the loop has been closed since, nobody waits for it.
            with contextlib.suppress(RuntimeError):
                self.call_soon_threadsafe(_settle, found, result, error)

        native.start_thread(look_up, "heliograph-names")
        return await found


def _settle(
    found: asyncio.Future[list[Any]], result: list[Any], error: Exception | None
) -> None:
    if found.cancelled():
        return
    if error is None:
        found.set_result(result)
    else:
        found.set_exception(error)
