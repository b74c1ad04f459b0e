"""Whether a hub is closed, or is being closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import BrokerUnavailableError, HubClosedError

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

__all__ = ["Closing"]


class Closing:
    """
    The end of a hub.

    As the context of a block, of any number of them at once, it raises
    :class:`HubClosedError` before the block, or if storage fails in it because of the end.

    Attributes:
        task: Closes the hub; :obj:`None` as long as nobody has asked for it.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """
        Raise if the hub is closed.

        Raises:
            HubClosedError: It is.
        """
        if self.task is not None:
            raise HubClosedError("the hub has been closed")

    __enter__ = check

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.task is not None and isinstance(error, BrokerUnavailableError):
            raise HubClosedError(f"the hub was closed meanwhile: {error}") from error
