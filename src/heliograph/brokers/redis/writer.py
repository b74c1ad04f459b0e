"""Write to channels in Redis: append, retain no longer, begin anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...channels.entry import Entry
from ...errors import BrokerUnavailableError, ChannelEndedError, TooManyRetainedError
from ..values import PLAIN
from .address import ALL
from .seen import Seen
from .values import DAMAGED, dump_event, load_event, retained_name
from .write_calls import Announce, Append, Refused, Release, Restart, dump_terms

if TYPE_CHECKING:
    from ...channels.position import Position
    from ...event import Event
    from ..values import Attempt, RetentionPolicy, Terms
    from .address import Address
    from .exchange import Exchange
    from .execution import Execution
    from .names import Names
    from .seen import LastSeen
    from .write_calls import Appended

__all__ = ["Writer"]


class Writer:
    """
    Channels in Redis, as one process writes to them.

    Args:
        address: Where Redis is.
        execution: Runs the scripts.
        names: Names of keys and pub/sub channels.
        exchange: What is also published on plain channels.
        retention: How much is kept of each channel.
        seen: The last known position of each channel.
    """

    def __init__(
        self,
        address: Address,
        *,
        execution: Execution,
        names: Names,
        exchange: Exchange,
        retention: RetentionPolicy,
        seen: LastSeen,
    ) -> None:
        self._address = address
        self._execution = execution
        self._names = names
        self._exchange = exchange
        self._retention = retention
        self._seen = seen
        # Whoever sees an event that is lost in a failover sees it again afterwards.
        self._announces = address.replicas == ALL

    async def append(
        self, channel: str, event: Event, terms: Terms, attempt: Attempt
    ) -> Entry:
        """
        Store an event as the next of its channel.

        Args:
            channel: A valid name.
            event: Any event.
            terms: What is to be done beside storing it.
            attempt: The same object for each repetition.

        Raises:
            BrokerUnavailableError: Redis failed; the entry may or may not be there.
            ChannelEndedError: The channel has ended.
            TooManyRetainedError: The channel has as many retained entries as it may.
        """
        return await self._execution.twice(
            lambda: self._append(channel, event, terms, attempt)
        )

    async def forget(self, channel: str, key: str) -> None:
        """
        Retain an entry no longer.

        Args:
            channel: A valid name.
            key: Of a retained entry.

        Raises:
            BrokerUnavailableError: Redis failed; it may or may not be done.
        """
        call = Release(
            keys=self._names.keys(channel),
            caller=self._execution.caller(channel, self._seen.get(channel)),
            kept_as=retained_name(key),
        )
        # Not after a lost connection: meanwhile another entry may be retained.
        await self._execution.twice(lambda: self._execution.call(call), undone=True)

    async def begin(self, channel: str) -> Position:
        """
        Begin a channel anew, without history and retained entries.

        Args:
            channel: A valid name.

        Returns:
            The head.

        Raises:
            BrokerUnavailableError: Redis failed; it may or may not be done.
        """
        while True:
            call = Restart(
                keys=self._names.keys(channel),
                caller=self._execution.caller(channel, self._seen.get(channel)),
            )
            # Not after a lost connection: meanwhile somebody may have published.
            reply = await self._execution.twice(
                lambda call=call: self._execution.call(call),  # type: ignore[misc]
                undone=True,
            )
            begun = Restart.parse(reply)
            if not isinstance(begun, Refused):
                return begun
            await self._announce_of_another(channel, begun)

    async def _append(
        self, channel: str, event: Event, terms: Terms, attempt: Attempt
    ) -> Entry:
        call = self._call(channel, event, terms, attempt)
        if not attempt.was_tried:
            attempt.was_tried = True
            seen = self._seen.get(channel)
            if seen is not None:
                attempt.after = seen.position
        stored = Append.parse(await self._execution.call(call))
        if isinstance(stored, Refused):
            await self._announce_of_another(channel, stored)
            if stored.reason == "ended":
                raise ChannelEndedError(channel)
            limit = self._retention.of(channel).retained_keys
            raise TooManyRetainedError(channel, limit)
        if stored.known_token is not None:
            return await self._known(channel, call, event, stored)
        position = stored.position
        if self._announces:
            key = terms.retain_as
            position = await self._announce(
                channel,
                call,
                position,
                call.token,
                is_repeat=call.is_repeat,
                kept_as=b"" if key is None else retained_name(key),
            )
        self._seen.add(channel, Seen(position, attempt.token, stored.at))
        at = float(stored.at)
        return Entry(channel, position, event, at, terms.is_end, terms.retain_as)

    def _call(self, channel: str, event: Event, terms: Terms, attempt: Attempt) -> Append:
        plain = self._exchange.dump(channel, event)
        retention = self._retention.of(channel)
        once, key = terms.idempotency_key, terms.retain_as
        return Append(
            keys=self._names.keys(channel),
            caller=self._execution.caller(channel, self._seen.get(channel)),
            event=dump_event(event, terms),
            max_entries=retention.events,
            publish_command="SPUBLISH" if self._address.kind == "cluster" else "PUBLISH",
            live_channel=self._names.live(channel),
            token=attempt.token,
            is_announced=self._announces,
            is_repeat=attempt.was_tried,
            after_epoch="" if attempt.after is None else attempt.after.epoch,
            after_offset=0 if attempt.after is None else attempt.after.offset,
            plain_channel="" if plain is None else channel,
            plain_message=plain or "",
            id_field="" if event.id is None else f"={event.id}",
            terms=b""
            if terms is PLAIN
            else dump_terms(
                kept_as=b"" if key is None else retained_name(key),
                once_as=b"" if once is None else f"!{once}".encode(errors="surrogatepass"),
                is_end=terms.is_end,
                max_retained=retention.retained_keys,
            ),
        )

    async def _known(
        self, channel: str, call: Append, event: Event, stored: Appended
    ) -> Entry:
        """Return the entry that has the idempotency key already."""
        position = stored.position
        if self._announces:
            # Its own publisher may be gone.
            token = stored.known_token or b""
            position = await self._announce(channel, call, position, token, is_repeat=True)
        try:
            return load_event(channel, position, stored.at, stored.known_event)
        except DAMAGED:
            # It was published all the same, and this is the same event.
            return Entry(channel, position, event, float(stored.at))

    async def _announce_of_another(self, channel: str, refused: Refused) -> None:
        """Announce the entry that a refusal names, whose publisher may be gone."""
        if refused.unshown is None:
            return
        call = Announce(
            keys=self._names.keys(channel),
            caller=self._execution.caller(channel, self._seen.get(channel)),
            stored_epoch=refused.unshown.epoch,
            stored_offset=refused.unshown.offset,
            token=refused.token,
            is_repeat=True,
            publish_command="SPUBLISH" if self._address.kind == "cluster" else "PUBLISH",
            live_channel=self._names.live(channel),
        )
        await self._execution.call(call)

    # Replicas must know that an entry is shown, too: otherwise one of them takes over, and
    # nobody sees the entry until another one is announced.
    async def _announce(
        self,
        channel: str,
        append: Append,
        stored: Position,
        token: str | bytes,
        *,
        is_repeat: bool,
        kept_as: bytes = b"",
    ) -> Position:
        announcement = Announce(
            keys=append.keys,
            caller=self._execution.caller(channel, self._seen.get(channel)),
            stored_epoch=stored.epoch,
            stored_offset=stored.offset,
            token=token,
            is_repeat=is_repeat,
            publish_command=append.publish_command,
            live_channel=append.live_channel,
            plain_channel=append.plain_channel,
            plain_message=append.plain_message,
            kept_as=kept_as,
        )
        position = Announce.parse(await self._execution.call(announcement))
        if position is None:
            raise BrokerUnavailableError(
                self._address.shown, "the event was lost before it was announced"
            )
        return position
