"""What the tests of the contract share: fixtures, a clock and a listener."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest
import pytest_asyncio

from ..base import Broker, Listener
from ..values import History, Retention, RetentionPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ...channels.entry import Entry
    from ...channels.position import Position
    from ...event import Event

__all__ = [
    "Beside",
    "ContractFixtures",
    "CostOf",
    "Damage",
    "ManualClock",
    "NewBroker",
    "Open",
    "RecordingListener",
    "offsets",
]


class NewBroker(Protocol):
    """Makes a broker."""

    def __call__(self, retention: RetentionPolicy, clock: Callable[[], float], /) -> Broker:
        """
        Return a broker that is not open yet.

        Args:
            retention: How much to keep of each channel.
            clock: Returns the time at which an event is published, in seconds since the
                epoch of Unix. The broker has to use it instead of a clock of its own.
        """
        ...


class CostOf(Protocol):
    """Measures the work that one call causes."""

    async def __call__(
        self, broker: Broker, call: Callable[[], Awaitable[object]], /
    ) -> int:
        """
        Return how many steps the storage takes for a call.

        Args:
            broker: Open.
            call: Has to be awaited once.

        Returns:
            Any measure that grows with the amount of history looked at, such as rows read
            or commands run; below 100 for a call that looks at one entry.
        """
        ...


class Damage(Protocol):
    """Damages what is stored."""

    async def __call__(self, broker: Broker, entry: Entry, /) -> None:
        """
        Make an entry unreadable where it is stored, as another program or a disk could.

        The entry keeps its offset, and its channel keeps its head.

        Args:
            broker: Open; has stored the entry.
            entry: Is in history.
        """
        ...


class Open(Protocol):
    """Makes a broker and opens it; it is closed at the end of the test."""

    async def __call__(
        self,
        listener: Listener | None = None,
        *,
        events: int = 100,
        seconds: float = 1000.0,
        clock: Callable[[], float] | None = None,
        policy: RetentionPolicy | None = None,
    ) -> Broker:
        """
        Return an open broker.

        Args:
            listener: Called with what happens in channels; :obj:`None` for one that nobody
                reads.
            events: Number of events to keep per channel.
            seconds: Age of the oldest event to keep.
            clock: See :class:`NewBroker`; :obj:`None` for one that stands still.
            policy: How much to keep of each channel, instead of ``events`` and ``seconds``.
        """
        ...


class Beside(Protocol):
    """Opens another broker, as a second process does."""

    async def __call__(self, broker: Broker, /, *, events: int = 100) -> Broker:
        """
        Return an open broker of the same storage.

        Args:
            broker: Open. What keeps nothing outside of its process may return it.
            events: Number of events to keep per channel.
        """
        ...


class ManualClock:
    """
    A clock that a test moves.

    Attributes:
        now: The time that it shows, in seconds.
    """

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return :attr:`now`."""
        return self.now


class RecordingListener(Listener):
    """
    A listener that records its calls and can be waited for.

    Args:
        timeout_seconds: How long :meth:`wait_for_entries` waits. Much longer than any
            broker takes: this only ends tests of a broker that loses entries.

    Attributes:
        entries: All entries, in the order in which they arrived.
        restarts: Arguments of the calls of ``on_restart`` with a gap.
        renamed: Arguments of the calls of ``on_restart`` without a gap, as before the first
            event of a channel.
        states: Arguments of the calls of ``on_state``: name, ended, retained.
        passing: Arguments of the calls of ``on_passing``.
        connection: Whether new entries arrive, for each call of ``on_connection``.
    """

    def __init__(self, *, timeout_seconds: float = 30.0) -> None:
        self.entries: list[Entry] = []
        self.restarts: list[tuple[str, Position, bool]] = []
        self.renamed: list[tuple[str, Position, bool]] = []
        self.states: list[tuple[str, bool, bool]] = []
        self.passing: list[tuple[str, Event]] = []
        self.connection: list[bool] = []
        self._timeout_seconds = timeout_seconds
        self._grown = asyncio.Event()

    def on_entries(self, entries: Sequence[Entry]) -> None:
        """Record new entries."""
        self.entries += entries
        self._grown.set()

    def on_restart(self, channel: str, start: Position, *, gap: bool) -> None:
        """Record that a channel begins a new life."""
        (self.restarts if gap else self.renamed).append((channel, start, gap))

    def on_state(self, channel: str, *, has_ended: bool, has_retained: bool) -> None:
        """Record the state of a channel."""
        self.states.append((channel, has_ended, has_retained))

    def on_passing(self, channel: str, event: Event) -> None:
        """Record an event without a position."""
        self.passing.append((channel, event))

    def on_connection(self, *, up: bool, reason: str) -> None:  # noqa: ARG002 - for the log only
        """Record that new entries arrive, or that they do not."""
        self.connection.append(up)

    async def wait_for_entries(self, count: int) -> list[Entry]:
        """
        Wait until at least so many entries have arrived, and return all that have.

        Args:
            count: Number of entries since :attr:`entries` was empty.

        Raises:
            TimeoutError: Fewer entries have arrived in time.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                while len(self.entries) < count:
                    self._grown.clear()
                    await self._grown.wait()
        except TimeoutError as error:
            raise TimeoutError(
                f"{len(self.entries)} of {count} entries have arrived within"
                f" {self._timeout_seconds} seconds: {self.entries!r:.500}"
            ) from error
        return self.entries

    def offsets(self, channel: str) -> list[int]:
        """
        Return the offsets of a channel's entries, in the order in which they arrived.

        Args:
            channel: Any name.
        """
        return [e.position.offset for e in self.entries if e.channel == channel]


def offsets(history: History) -> list[int]:
    """
    Return the offsets of the entries of a page.

    Args:
        history: What :meth:`~heliograph.brokers.Broker.read` returned.
    """
    return [entry.position.offset for entry in history.entries]


class ContractFixtures:
    """The fixtures of all tests of the contract. A subclass overrides the first three."""

    # In the strict mode of pytest-asyncio, which is its default, tests have to be marked.
    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    def new_broker(self) -> NewBroker:
        """Return what makes brokers; see :class:`NewBroker`."""
        raise NotImplementedError("override the fixture new_broker to return a NewBroker")

    @pytest.fixture
    def cost_of(self) -> CostOf:
        """Return what measures the cost of a call; see :class:`CostOf`."""
        pytest.skip("override the fixture cost_of to test the cost of find")

    @pytest.fixture
    def damage(self) -> Damage:
        """Return what damages an entry; see :class:`Damage`."""
        pytest.skip("override the fixture damage to test entries that cannot be read")

    @pytest_asyncio.fixture
    async def opened(self, new_broker: NewBroker) -> AsyncIterator[Open]:
        """Return what opens brokers, and close them after the test."""
        brokers = []

        async def open_one(
            listener: Listener | None = None,
            *,
            events: int = 100,
            seconds: float = 1000.0,
            clock: Callable[[], float] | None = None,
            policy: RetentionPolicy | None = None,
        ) -> Broker:
            policy = policy or Retention(events=events, seconds=seconds)
            broker = new_broker(policy, clock or ManualClock())
            await broker.open(listener or RecordingListener())
            brokers.append(broker)
            return broker

        yield open_one
        for broker in brokers:
            await broker.close()

    @pytest.fixture
    def beside(self, opened: Open) -> Beside:
        """Return what opens another broker of the same storage; see :class:`Beside`."""

        async def open_another(broker: Broker, /, *, events: int = 100) -> Broker:  # noqa: ARG001 - for brokers in memory
            return await opened(events=events)

        return open_another
