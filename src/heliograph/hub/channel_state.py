"""What developers ask of a channel beside publishing: its end, its state and its past."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ..brokers.values import PLAIN
from ..channels.blocks import gap_event
from ..channels.end import END_EVENT_TYPE, end_event
from ..channels.position import Position, Positions
from ..errors import ChannelEndedError, InvalidFieldError, InvalidStreamIdError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..brokers.values import History, Terms
    from ..channels.entry import Entry
    from ..event import Event
    from .publishing import Publishing
    from .storage import Storage

__all__ = ["ChannelState"]


class ChannelState:
    """
    Reads and changes the state of channels.

    Each method fails at once if storage does: it raises
    :class:`~heliograph.errors.BrokerUnavailableError`, as it does when it takes longer than
    ``publish_timeout_seconds``.

    Args:
        storage: Has the channels.
        publishing: Stores the end of a channel, within the time that a publish may take.
    """

    def __init__(self, storage: Storage, publishing: Publishing) -> None:
        self._storage = storage
        self._publishing = publishing

    async def end(self, channel: str, event: Event | None, terms: Terms = PLAIN) -> str:
        """
        End a channel.

        Args:
            channel: A valid name.
            event: The last event; :obj:`None` for an end without one.
            terms: What is to be done with the last event beside storing it.

        Returns:
            The id of a client that has seen the end.

        Raises:
            ChannelEndedError: The channel has ended, and there is a last event to store.
        """
        try:
            entry = await self._publishing.end(channel, event, terms)
        except ChannelEndedError:
            if event is not None:
                raise
            return await self.position((channel,))
        return _id_of(entry.channel, entry.position)

    async def begin(self, channel: str) -> str:
        """
        Begin a new life of a channel. See :meth:`.Broker.begin`.

        Args:
            channel: A valid name.

        Returns:
            The id with which a stream begins with the first event of that life.
        """
        with self._publishing.time_limit():
            return _id_of(channel, await self._storage.begin(channel))

    async def forget(self, channels: tuple[str, ...], key: str) -> None:
        """
        Retain the events of some channels that have a key no longer.

        Args:
            channels: Valid names.
            key: ``""`` for the event that was retained without a key.
        """
        with self._publishing.time_limit():
            for name in channels:
                await self._storage.forget(name, key)

    async def position(self, channels: tuple[str, ...]) -> str:
        """
        Return the id with which a stream begins after what was published until now.

        Args:
            channels: Of the stream: sorted, each once, all valid.
        """
        with self._publishing.time_limit():
            pages = await asyncio.gather(
                *(self._storage.read_now(name, None, 0) for name in channels)
            )
        heads = (page.head for page in pages)
        return Positions(dict(zip(channels, heads, strict=True))).id

    async def last(self, channel: str, key: str | None) -> Event | None:
        """
        Return the newest event of a channel, or the one that is retained with a key.

        Args:
            channel: A valid name.
            key: :obj:`None` for the newest event in history, or the one that is retained
                without a key if history holds none; ``""`` for the latter alone.

        Returns:
            The event, with the id with which a stream of this channel resumes after it;
            :obj:`None` if there is none.
        """
        with self._publishing.time_limit():
            if key is not None:
                entry = await self._storage.retained_as(channel, key)
            else:
                entry = await self._newest(channel)
                entry = entry or await self._storage.retained_as(channel, "")
        if entry is None:
            return None
        return replace(entry.event, id=_id_of(channel, entry.position))

    async def _newest(self, channel: str) -> Entry | None:
        head = (await self._storage.read_now(channel, None, 0)).head
        # The last entry may be an end without an event.
        before = Position(head.epoch, max(0, head.offset - 2))
        page = await self._storage.read_now(channel, before, 2)
        entries = [e for e in page.entries if e.event.type != END_EVENT_TYPE]
        return entries[-1] if entries else None

    async def history(self, channel: str, after: str | None, limit: int) -> list[Event]:
        """
        Return a page of a channel's history.

        Args:
            channel: A valid name.
            after: The id after which the page begins; :obj:`None` for the oldest event.
            limit: Largest number of entries, at least 1; fewer if they are large.

        Returns:
            The events that a stream of this channel would give, each with the id with which
            a stream or the next page resumes after it. A gap, and the end of the channel,
            are events of their own.

        Raises:
            InvalidFieldError: ``after`` is no id of this channel.
        """
        with self._publishing.time_limit():
            position = None if after is None else await self._position_of(channel, after)
            page = await self._storage.read_now(channel, position, limit)
        return list(_events(channel, page))

    async def _position_of(self, channel: str, text: str) -> Position:
        try:
            return Positions.parse(text, (channel,))[channel]
        except InvalidStreamIdError:
            found = await self._storage.find(channel, text)
        if found is None:
            raise InvalidFieldError(
                "after", text, f"must be the id of an event in the history of {channel!r}"
            )
        return found


def _events(channel: str, page: History) -> Iterator[Event]:
    if page.gap is not None:
        gap = gap_event({channel: page.gap})
        yield replace(gap, id=_id_of(channel, page.start))
    for entry in page.entries:
        id_ = _id_of(channel, entry.position)
        yield replace(entry.event, id=id_)
        if entry.is_end and entry.event.type != END_EVENT_TYPE:
            yield replace(end_event(channel), id=id_)


def _id_of(channel: str, position: Position) -> str:
    return Positions({channel: position}).id
