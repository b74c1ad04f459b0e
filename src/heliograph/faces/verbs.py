"""What developers do with channels, in the same words on each synchronous face."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..channels.entry import id_after
from ..channels.names import check_channel, check_selection
from ..channels.start import Start
from ..servers.stopping import stopping_process
from .arguments import (
    check_limit,
    check_timeout,
    is_forgetting,
    last_event,
    position_given,
)
from .publishing import check_key, event_for, terms_for
from .request import DEFAULT_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..event import Event
    from ..hub import HubStatistics, StreamHub, Subscribed

__all__ = ["Verbs", "VerbsOf"]


class VerbsOf(NamedTuple):
    """
    What the verbs of a face work with.

    Args:
        hub: The hub of the application or the program.
        dumps: Encodes data that is not a str as JSON.
    """

    hub: StreamHub
    dumps: Callable[[Any], str]


class Verbs:
    """
    Publish to channels, end them, read their state and take their events.

    Every method may raise :class:`~heliograph.BrokerUnavailableError` if storage cannot be
    used or takes longer than ``publish_timeout_seconds``,
    :class:`~heliograph.HubClosedError` if the process is about to end,
    :class:`~heliograph.InvalidFieldError` for an argument that is not valid, and
    :class:`~heliograph.ConfigError` if the configuration is wrong.
    """

    @abstractmethod
    def _verbs(self) -> VerbsOf:
        """Return what the verbs work with."""

    def publish(
        self,
        data: Any,
        type: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
        channel: str | Iterable[str] = DEFAULT_CHANNEL,
        *,
        retain: bool = False,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """
        Publish an event to a channel: to its streams now, to others when they reconnect.

        Args:
            data: A str is sent as it is; an :class:`~heliograph.Event` with its fields;
                anything else as JSON.
            type: The name to pass to ``addEventListener``; :obj:`None` for ``"message"``.
            id: An id of your own, instead of the one that is assigned. Streams of several
                channels do not send it. An int stands for its decimal digits.
            retry: Milliseconds that clients wait before they reconnect.
            channel: A channel, or 1 to 64 of them; each stores the event separately.
            retain: Whether the event is kept, beyond the bounds of history, until another
                one is retained with the same key. A stream that begins without a position
                is given what is retained first. With ``retain=False``, a ``key`` and
                ``data=None`` the event with that key is retained no longer, as by
                :meth:`forget`; nothing is published then.
            key: The key of the retained event, 1 to 255 bytes of UTF-8; :obj:`None` for the
                one retained event of the channel that has none.
            idempotency_key: A name of your own for this publish, 1 to 255 bytes of UTF-8.
                A channel stores one event with it: as long as its history holds that event,
                another publish with the key stores nothing and returns the first one's id.

        Returns:
            The id with which a stream of exactly these channels resumes after the event.

        Raises:
            ChannelEndedError: A channel has ended; others of the call may have the event.
            TooManyRetainedError: A channel retains ``retained_keys`` events already;
                likewise.
            EventTooLargeError: The event is larger than ``max_event_bytes`` (in Flask
                ``SSE_MAX_EVENT_BYTES``).
            RuntimeError: It is not clear which application is meant (Flask).
        """
        verbs = self._verbs()
        if is_forgetting(data, retain=retain, key=key, type=type, id=id, retry=retry):
            channels = check_selection(channel)
            verbs.hub.forget(channels, check_key("key", key))
            return verbs.hub.position(channels)
        terms = terms_for(retain=retain, key=key, idempotency_key=idempotency_key)
        channels, event = event_for(
            channel, data, type=type, id=id, retry=retry, dumps=verbs.dumps
        )
        return id_after(verbs.hub.publish(channels, event, terms))

    def end(
        self,
        channel: str,
        data: Any = None,
        type: str | None = None,
        id: str | int | None = None,
        *,
        retain: bool = False,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """
        End a channel.

        Its open streams get everything, then an event ``heliograph.end``, and end when all
        of their channels have ended. A client that has seen the end, or begins after it,
        gets the status 204, at which an ``EventSource`` stops for good. One that has missed
        something gets that first. Nothing can be published to the channel until
        :meth:`begin`, or until it is forgotten, ``forget_seconds`` after its end.

        Args:
            channel: The channel.
            data: The data of a last event; :obj:`None` for none.
            type: As for :meth:`publish`, of the last event.
            id: Likewise.
            retain: Likewise.
            key: Likewise.
            idempotency_key: As for :meth:`publish`.

        Returns:
            The id of a client that has seen the end. If the channel has ended already and
            there is no last event, that is the end that it has.

        Raises:
            ChannelEndedError: The channel has ended, so a last event would be lost.
            TooManyRetainedError: As for :meth:`publish`.
            EventTooLargeError: As for :meth:`publish`.
        """
        hub, dumps = self._verbs()
        name, event = last_event(
            channel, data, type=type, id=id, retain=retain, dumps=dumps
        )
        terms = terms_for(
            retain=retain, key=key, idempotency_key=idempotency_key, is_end=True
        )
        return hub.end(name, event, terms)

    def begin(self, channel: str) -> str:
        """
        Begin a new life of a channel, whether it has ended or not.

        What it has in history and what it retains is removed. A stream that is open goes
        on.

        Args:
            channel: The channel.

        Returns:
            The id with which a stream begins with the first event of the new life.
        """
        return self._verbs().hub.begin(check_channel(channel))

    def forget(self, channel: str, *, key: str | None = None) -> None:
        """
        Retain an event no longer. Its channel's history holds it within its bounds.

        Args:
            channel: The channel.
            key: The event's key; :obj:`None` for the one that was retained without a key.
        """
        self._verbs().hub.forget((check_channel(channel),), check_key("key", key))

    def position(self, *channels: str) -> str:
        """
        Return the id with which a stream begins after what was published until now.

        Call it before you read the state that a page shows, and give it to the page
        (``?lastEventId=…``): its stream then misses nothing of what changes meanwhile.

        Args:
            channels: The channels of the stream: 1 to 64; ``sse`` if there is none.
        """
        return self._verbs().hub.position(check_selection(channels or DEFAULT_CHANNEL))

    def last(self, channel: str, key: str | None = None) -> Event | None:
        """
        Return the newest event of a channel, or the one that is retained with a key.

        Args:
            channel: The channel.
            key: The key of a retained event, ``""`` for the one without a key; :obj:`None`
                for the newest event in history, or the one that is retained without a key
                if history holds none.

        Returns:
            The event, with the id with which a stream of this channel resumes after it;
            :obj:`None` if there is none.
        """
        name = check_channel(channel)
        # "" is the event without a key, which None cannot mean here.
        checked = check_key("key", key) if key else key
        return self._verbs().hub.last(name, checked)

    def history(
        self, channel: str, after: str | None = None, limit: int = 100
    ) -> list[Event]:
        """
        Return a page of a channel's history.

        Args:
            channel: The channel.
            after: The id after which the page begins; :obj:`None` for the oldest event.
            limit: Largest number of events published, 1 to 10,000; fewer if they are large.

        Returns:
            What a stream of this channel would be given, in order, each with the id with
            which a stream or the next page resumes after it. If events are missing, the
            first is of the type ``heliograph.gap``; the end of a channel is one of the type
            ``heliograph.end``. An empty list if nothing follows.
        """
        name = check_channel(channel)
        position = position_given(after, "after")
        return self._verbs().hub.history(name, position, check_limit(limit))

    def subscribe(
        self,
        *channels: str,
        last_event_id: str | None = None,
        start: str | int = "retained",
        timeout: float | None = None,
    ) -> Subscribed:
        """
        Take the events of some channels: ``for event in sse.subscribe("news"): …``.

        The iteration waits for events, and ends when all channels have ended, when one is
        disconnected, when the server is told to stop, and after ``timeout``. A gap is an
        event of the type ``heliograph.gap``.

        Args:
            channels: 1 to 64 channels; ``sse`` if there is none.
            last_event_id: The id after which to resume; :obj:`None` for no position.
            start: Where to begin without one: ``"retained"``, with what is retained;
                ``"now"``; ``"start"``, with the oldest event; or a number of events.
            timeout: Seconds of silence after which the iteration ends, 0 or more;
                :obj:`None` for no limit. The time that storage takes to be read counts as
                silence, so choose some seconds to get all that is stored.

        Returns:
            An iterator, which has begun: whatever is published from now on is part of it.
            Its ``last_event_id`` is the one with which to subscribe again after the last
            event. It may be used as a block, which ends it; otherwise it ends when the
            iteration does, or when nobody refers to it.

        Raises:
            TooManySubscribersError: A cap is reached; also while iterating, if the program
                was too slow and its slot was taken.
        """
        return self._verbs().hub.subscribe(
            check_selection(channels or DEFAULT_CHANNEL),
            last_event_id=position_given(last_event_id, "last_event_id"),
            start=Start.parse(start),
            timeout=check_timeout(timeout),
            is_stopping=stopping_process(),
        )

    def disconnect(self, channel: str) -> None:
        """
        End the streams that have a channel in their selection, in all processes.

        Browsers reconnect by themselves, so refuse them first: in the authorizer, or by
        letting their token expire.

        Args:
            channel: The channel.
        """
        self._verbs().hub.disconnect(check_channel(channel))

    def statistics(self) -> HubStatistics:
        """Return what this process serves, for a health check or metrics."""
        return self._verbs().hub.statistics()
