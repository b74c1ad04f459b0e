"""Events from the program into the broker."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from ..brokers.values import PLAIN
from ..channels.end import end_event
from ..channels.entry import id_after
from ..channels.position import Positions
from ..errors import (
    BrokerUnavailableError,
    EventTooLargeError,
    InvalidFieldError,
    InvalidStreamIdError,
)
from ..logs import Logger
from ..wire.encoder import body_fits, encode_body
from .time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..brokers.values import Terms
    from ..channels.entry import Entry
    from ..config import HubConfig
    from ..event import Event
    from .statistics import Counters
    from .storage import Storage

__all__ = ["Publishing"]

_log = Logger("heliograph.events")

# Clients send an id back in a header, and servers allow those some thousand bytes.
_MAX_ID_BYTES = 1_024

_RESERVED = "heliograph."

_SMALLER = (
    "publish an address from which pages get the data, or raise max_event_bytes"
    " (in Flask SSE_MAX_EVENT_BYTES), up to max_lag_bytes"
)


class Publishing:
    """
    Appends events, within the time that a publish may take.

    Args:
        storage: Takes the events.
        config: Limits and timings.
        counters: Counts what was published.
        streams: Returns how many streams of this process have a channel.

    Attributes:
        time_limit: Limits a block to ``publish_timeout_seconds``. If it takes longer it
            raises a :class:`BrokerUnavailableError`.
    """

    def __init__(
        self,
        storage: Storage,
        config: HubConfig,
        counters: Counters,
        streams: Callable[[str], int],
    ) -> None:
        self._streams = streams
        self._storage = storage
        self._config = config
        self._counters = counters
        self.time_limit = TimeLimit(config.publish_timeout_seconds, self._over)

    async def publish(
        self, channels: Iterable[str], event: Event, terms: Terms = PLAIN
    ) -> list[Entry]:
        """
        Store an event in each of some channels, and so send it to their streams.

        Each channel takes it on its own: if one fails, others may have it.

        Args:
            channels: Valid names.
            event: Any event.
            terms: What is to be done beside storing it.

        Returns:
            One entry for each channel.

        Raises:
            ChannelEndedError: A channel has ended.
            TooManyRetainedError: A channel retains as many events as it may.
            EventTooLargeError: Encoded it is larger than ``max_event_bytes``.
            InvalidFieldError: Its id is over 1,024 bytes, or reads as a position in one of
                the channels; or its type is reserved.
            BrokerUnavailableError: Storage failed, or took longer than
                ``publish_timeout_seconds``; then the event may or may not be there.
        """
        names = self._checked(channels, event)
        with self.time_limit():
            if len(names) == 1:
                # The usual case needs no task, and so no turn of a busy loop.
                entries = [await self._append(names[0], event, terms)]
            else:
                entries = await asyncio.gather(
                    *(self._append(name, event, terms) for name in names)
                )
        self._count(entries)
        return entries

    def publish_at_once(
        self, channels: Sequence[str], event: Event, terms: Terms = PLAIN
    ) -> list[Entry] | None:
        """
        Do what :meth:`publish` does, if storage is not waited for.

        Returns:
            The entries; :obj:`None` if nothing was done.
        """
        append = self._storage.append_at_once
        if append is None or len(channels) > 1:
            return None
        entries = [
            append(name, event, terms=terms) for name in self._checked(channels, event)
        ]
        self._count(entries)
        return entries

    def publish_from_thread(self, channels: Sequence[str], event: Event) -> Entry | None:
        """
        Do what :meth:`publish` does, for any thread, if the loop is not waited for.

        Returns:
            The entry; :obj:`None` if nothing was done.
        """
        append = self._storage.append_from_thread
        if append is None or len(channels) != 1:
            return None
        (name,) = self._checked(channels, event)
        entry = append(name, event, self._count_one)
        if entry is not None:
            self._log_entries([entry])
        return entry

    def _checked(self, channels: Iterable[str], event: Event) -> list[str]:
        """Return the channels, each once, if the event may be published."""
        if not body_fits(event, self._config.max_event_bytes):
            raise EventTooLargeError(
                len(encode_body(event)), self._config.max_event_bytes, _SMALLER
            )
        if (event.type or "").startswith(_RESERVED):
            raise InvalidFieldError(
                "type",
                event.type,
                f"must not begin with {_RESERVED!r}: a page would take the event for one of"
                " Heliograph's own",
            )
        names = list(dict.fromkeys(channels))
        for name in names:
            _check_own_id(name, event)
        return names

    def _count(self, entries: list[Entry]) -> None:
        self._counters.published += len(entries)
        self._log_entries(entries)

    def _count_one(self) -> None:
        self._counters.published += 1

    async def end(self, channel: str, event: Event | None, terms: Terms) -> Entry:
        """
        End a channel, and so its streams.

        Args:
            channel: A valid name.
            event: The last event; :obj:`None` for an end without one.
            terms: What is to be done beside storing it.

        Returns:
            The last entry of the channel.

        Raises:
            ChannelEndedError: The channel has ended.
            BrokerUnavailableError: As for :meth:`publish`, and so are all other errors.
        """
        terms = replace(terms, is_end=True)
        if event is not None:
            (entry,) = await self.publish([channel], event, terms)
            return entry
        with self.time_limit():
            return await self._append(channel, end_event(channel), terms)

    async def command(self, channel: str, command: Event) -> None:
        """
        Store what hubs tell each other. It is not counted as published.

        Args:
            channel: Of commands.
            command: Any.

        Raises:
            BrokerUnavailableError: As for :meth:`publish`.
        """
        with self.time_limit():
            await self._append(channel, command, PLAIN)

    def _log_entries(self, entries: list[Entry]) -> None:
        if not _log.isEnabledFor(logging.DEBUG):
            return
        # Nothing of the data: it may be of somebody who has to do with no log.
        for entry in entries:
            _log.debug(
                "published to %r: id %r, type %r; %d streams of this process have it",
                entry.channel,
                id_after([entry]),
                entry.event.type or "message",
                self._streams(entry.channel),
            )

    async def _append(self, channel: str, event: Event, terms: Terms) -> Entry:
        if self._config.publish_waits:
            return await self._storage.append(channel, event, terms)
        return await self._storage.append_now(channel, event, terms)

    def _over(self) -> BrokerUnavailableError:
        seconds = self._config.publish_timeout_seconds
        return BrokerUnavailableError(
            self._storage.resource,
            f"no answer within {seconds} seconds, which publish_timeout_seconds sets",
        )


def _check_own_id(channel: str, event: Event) -> None:
    if event.id is None:
        return
    if len(event.id.encode()) > _MAX_ID_BYTES:
        raise InvalidFieldError(
            "id", event.id, f"must be at most {_MAX_ID_BYTES} bytes: clients send it back"
        )
    try:
        Positions.parse(event.id, (channel,))
    except InvalidStreamIdError:
        return
    raise InvalidFieldError(
        "id",
        event.id,
        f"reads as a position in channel {channel!r}: resuming by it would go there"
        " instead of here",
    )
