"""What other threads than the hub's ask it to do with channels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from ...brokers.values import PLAIN
from ...channels.start import RETAINED
from ...errors import HubClosedError
from .subscription import ThreadSubscription

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from ...brokers.values import Terms
    from ...channels.entry import Entry
    from ...channels.start import Start
    from ...event import Event
    from ..channel_state import ChannelState
    from ..hub import Hub
    from ..statistics import HubStatistics
    from .calls import Outcome

__all__ = ["ThreadVerbs"]

_Result = TypeVar("_Result")


class ThreadVerbs(ABC):
    """The calls of :class:`.StreamHub` that concern channels and not clients."""

    @abstractmethod
    def _get(self, function: Callable[[Hub], Outcome[_Result]]) -> _Result:
        """Return what a function returns, called with the hub on its loop."""

    @abstractmethod
    def _at_hand(self) -> Hub | None:
        """Return the hub for calls in this thread; :obj:`None` if :meth:`_get` has to."""

    def _call(self, function: Callable[[Hub], Coroutine[None, None, _Result]]) -> _Result:
        """Return what a function's coroutine returns."""
        asked: Callable[[Hub], Outcome[_Result]] = function
        return self._get(asked)

    def publish(
        self, channels: Sequence[str], event: Event, terms: Terms = PLAIN
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
            BrokerUnavailableError: Storage failed, or took longer than
                ``publish_timeout_seconds``; then the event may or may not be there.
            ChannelEndedError: A channel has ended.
            TooManyRetainedError: A channel retains as many events as it may.
            EventTooLargeError: Encoded it is larger than ``max_event_bytes``.
            InvalidFieldError: Its id looks like a position in one of the channels.
            ConfigError: Storage refuses what it was configured with.
            HubClosedError: The hub was closed meanwhile, and the event may or may not be
                there; or the process is about to end.
        """
        hub = self._at_hand()
        if hub is not None and terms is PLAIN:
            entry = hub.publish_from_thread(channels, event)
            if entry is not None:
                if self._at_hand() is not hub:
                    raise HubClosedError(
                        "closed, or forked, meanwhile: the event may or may not be there"
                    )
                return [entry]
        return self._get(lambda hub: hub.begin_publish(channels, event, terms))

    def end(self, channel: str, event: Event | None, terms: Terms) -> str:
        """End a channel. See :meth:`.ChannelState.end`."""
        return self._ask(lambda state: state.end(channel, event, terms))

    def begin(self, channel: str) -> str:
        """Begin a new life of a channel. See :meth:`.ChannelState.begin`."""
        return self._ask(lambda state: state.begin(channel))

    def forget(self, channels: tuple[str, ...], key: str) -> None:
        """Retain an event no longer. See :meth:`.ChannelState.forget`."""
        self._ask(lambda state: state.forget(channels, key))

    def position(self, channels: tuple[str, ...]) -> str:
        """Return the id after what was published. See :meth:`.ChannelState.position`."""
        return self._ask(lambda state: state.position(channels))

    def last(self, channel: str, key: str | None) -> Event | None:
        """Return the newest or a retained event. See :meth:`.ChannelState.last`."""
        return self._ask(lambda state: state.last(channel, key))

    def history(self, channel: str, after: str | None, limit: int) -> list[Event]:
        """Return a page of history. See :meth:`.ChannelState.history`."""
        return self._ask(lambda state: state.history(channel, after, limit))

    def subscribe(
        self,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None = None,
        start: Start = RETAINED,
        timeout: float | None = None,
        is_stopping: Callable[[], bool] | None = None,
    ) -> ThreadSubscription:
        """
        Return the events of some channels, for a thread that iterates.

        Args:
            channels: Sorted, each once, all valid.
            last_event_id: After which to begin; :obj:`None` for no position.
            start: Where to begin without a position.
            timeout: Seconds of silence after which the iteration ends; :obj:`None` for no
                limit.
            is_stopping: See :class:`.subscription.Subscription`.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The process is about to end.
        """
        subscription = self._call(
            lambda hub: hub.subscription(
                channels, last_event_id=last_event_id, start=start, is_stopping=is_stopping
            )
        )
        return ThreadSubscription(subscription, timeout)

    def disconnect(self, channel: str) -> None:
        """
        Finish the streams that have a channel in their selection, in every process.

        Clients reconnect by themselves unless they are refused then.

        Args:
            channel: A valid name.

        Raises:
            BrokerUnavailableError: Other processes could not be told.
            HubClosedError: The hub was closed meanwhile, or the process is about to end.
        """
        self._call(lambda hub: hub.disconnect(channel))

    def statistics(self) -> HubStatistics:
        """
        Return what the hub of this process holds and has done.

        Raises:
            HubClosedError: The hub was closed meanwhile, or the process is about to end.
        """
        return self._get(lambda hub: hub.statistics())

    def _ask(self, question: Callable[[ChannelState], Awaitable[_Result]]) -> _Result:
        return self._call(lambda hub: hub.ask(question))
