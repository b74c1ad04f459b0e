"""Coroutines that say so if they are dropped."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

__all__ = ["Awaited", "must_be_awaited"]

_log = Logger("heliograph.events")

_Result = TypeVar("_Result")
_Args = ParamSpec("_Args")


class Awaited(Coroutine[Any, Any, _Result]):
    """
    A coroutine of a method, which logs an error if nobody awaits it.

    Python only warns that a coroutine was never awaited, and servers show no warnings. An
    event that is not published in a function without ``async`` would be missed by nobody
    but the page that waits for it.

    Args:
        coroutine: Has not begun.
        name: What was called, for the log.
        remedy: What to write instead.
    """

    __slots__ = ("__weakref__", "_coroutine", "_name", "_remedy", "_was_begun")

    def __init__(
        self, coroutine: Coroutine[Any, Any, _Result], name: str, remedy: str
    ) -> None:
        self._coroutine = coroutine
        self._name = name
        self._remedy = remedy
        self._was_begun = False

    def __await__(self) -> Generator[Any, Any, _Result]:
        self._was_begun = True
        return self._coroutine.__await__()

    def send(self, value: Any, /) -> Any:
        """Continue the coroutine. See :meth:`collections.abc.Coroutine.send`."""
        self._was_begun = True
        return self._coroutine.send(value)

    def throw(
        self,
        kind: Any,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
        /,
    ) -> Any:
        """Raise in the coroutine. See :meth:`collections.abc.Coroutine.throw`."""
        self._was_begun = True
        if value is None and traceback is None:
            return self._coroutine.throw(kind)
        return self._coroutine.throw(kind, value, traceback)

    def close(self) -> None:
        """End the coroutine, which is then not awaited on purpose."""
        self._was_begun = True
        self._coroutine.close()

    def __del__(self) -> None:
        if self._was_begun:
            return
        self._coroutine.close()
        _log.error(
            "%s(…) was not awaited, so it has done nothing: %s", self._name, self._remedy
        )


def must_be_awaited(
    remedy: str,
) -> Callable[
    [Callable[_Args, Coroutine[Any, Any, _Result]]], Callable[_Args, Awaited[_Result]]
]:
    """
    Return a decorator of coroutine functions, whose calls log an error if they are dropped.

    Frameworks take what is decorated for the coroutine function that it was.

    Args:
        remedy: What to write instead, for the log.
    """

    def decorate(
        function: Callable[_Args, Coroutine[Any, Any, _Result]],
    ) -> Callable[_Args, Awaited[_Result]]:
        @functools.wraps(function)
        def call(*args: _Args.args, **kwargs: _Args.kwargs) -> Awaited[_Result]:
            return Awaited(function(*args, **kwargs), function.__name__, remedy)

        if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
            inspect.markcoroutinefunction(call)
        # What asyncio.iscoroutinefunction looks at, which frameworks call.
        call._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001 - the way of Python 3.11
        return call

    return decorate
