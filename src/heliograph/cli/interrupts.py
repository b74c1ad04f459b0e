"""Ctrl-C that ends a wait and nothing else, so that it is known what has been done."""

from __future__ import annotations

import contextlib
import signal
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType
    from typing import Self

__all__ = ["Interrupts"]


class Interrupts:
    """
    A block in which Ctrl-C raises :exc:`KeyboardInterrupt` only while the command waits.

    By default it is raised between any two instructions: also after an event is printed and
    before its id is kept, so that the id of an earlier event would be reported. What is not
    a wait is finished first. A second Ctrl-C is raised at once, for work that does not end.
    """

    def __init__(self) -> None:
        self._is_waiting = False
        self._count = 0
        self._previous = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Self:
        # A shell without job control ignores it for what it runs in the background.
        if self._previous is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._on_signal)
            # One that ends a wait may come between making a coroutine and running it.
            warnings.filterwarnings(
                "ignore", "coroutine .* was never awaited", RuntimeWarning
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """
        Return a block that Ctrl-C ends.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, in the block or before.
        """
        # First, so that no signal comes between the question and the wait.
        self._is_waiting = True
        try:
            if self._count:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_waiting = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        self._count += 1
        if self._is_waiting or self._count > 1:
            raise KeyboardInterrupt
