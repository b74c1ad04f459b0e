"""The block within which a program takes events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ..hub.subscription import Subscription

__all__ = ["SubscriptionBlock"]


class SubscriptionBlock:
    """
    What ``async with`` enters. It holds a slot in the block only, so it is no iterator.

    Args:
        block: Joins when it is entered, and leaves at its end.
    """

    def __init__(self, block: AbstractAsyncContextManager[Subscription]) -> None:
        self._block = block

    async def __aenter__(self) -> Subscription:
        """Subscribe."""
        return await self._block.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Release the slot."""
        return await self._block.__aexit__(kind, error, traceback)

    def __iter__(self) -> Never:
        """Refuse ``for``, as ``async for`` without the block."""
        self.__aiter__()

    def __aiter__(self) -> Never:
        """Refuse ``async for`` without the block, and a ``StreamingResponse`` of it."""
        raise TypeError(
            "subscribe() is a block, not an iterator: write async with"
            " streams.subscribe(…) as events, and async for event in events within it."
            " For a browser give EventStreams a route: Route('/stream', streams)"
        )
