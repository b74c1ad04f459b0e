"""Loggers that may be used in the threads of ``native.py``."""

from __future__ import annotations

import logging
import sys

from . import native

__all__ = ["Logger"]


class Logger(logging.LoggerAdapter[logging.Logger]):
    """
    A logger whose handlers run in a greenlet, if threads are greenlets in this process.

    Its records are those of the standard library's logger of the same name.

    Args:
        name: Of the logger, with dots between its parts.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), {})

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        """Return whether a line of a level is written, without the lock of ``logging``."""
        logger = self.logger
        return level >= logger.getEffectiveLevel() and level > logger.manager.disable

    # What nobody here needs is not passed on.
    def log(  # type: ignore[override]
        self,
        level: int,
        msg: object,
        *args: object,
        exc_info: BaseException | bool | None = None,
    ) -> None:
        """
        Write a line.

        Args:
            level: Of :mod:`logging`.
            msg: What to write, with ``%`` where an argument belongs.
            args: The arguments, which must not change afterwards.
            exc_info: The exception that the line is about; true for the one in progress.
        """
        if not self.isEnabledFor(level):
            return
        logger = self.logger
        error = sys.exception() if exc_info is True else exc_info or None
        # One frame is this one: the line is the caller's.
        file, number, function, _ = logger.findCaller(stacklevel=2)
        record = logger.makeRecord(
            logger.name,
            level,
            file,
            number,
            msg,
            args,
            None if error is None else (type(error), error, error.__traceback__),
            function,
        )
        record.threadName = native.thread_name()
        native.hand_over(logger.handle, record)
