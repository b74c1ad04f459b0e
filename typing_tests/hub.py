"""Which classes of the hub satisfy which of its protocols. Read by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from heliograph import HubConfig
from heliograph.hub import Admission, HubThread, StreamHub, Ticket

if TYPE_CHECKING:
    from heliograph.hub.admission import AdmissionControl
    from heliograph.hub.channel_events import ChannelEvents
    from heliograph.hub.channel_table import ChannelTable
    from heliograph.hub.connections import Connections
    from heliograph.hub.control import Control
    from heliograph.hub.feeds import Feeds
    from heliograph.hub.joining import Joining
    from heliograph.hub.sinks import DescriptorSink, PullSink, Sink, SinkClient, TaskSink
    from heliograph.hub.sinks.descriptor import Keeper, Watch
    from heliograph.hub.sinks.watch import EpollWatch, LoopWatch
    from heliograph.hub.stop_watch import StopWatch
    from heliograph.hub.subscriber import Observer, Subscriber
    from heliograph.servers.uvicorn import UvicornSink, UvicornStreams

hub: StreamHub = HubThread("memory:", HubConfig())
ticket = hub.admit(Admission(("a",), address="10.0.0.1"))
assert_type(ticket, Ticket)
ticket.number = 5  # type: ignore[misc]  # frozen
hub.attach(ticket)  # type: ignore[attr-defined]  # sinks are the hub's business


def sinks(
    pull: PullSink, connection: DescriptorSink, task: TaskSink, uvicorn: UvicornSink
) -> list[Sink]:
    return [pull, connection, task, uvicorn]


def keepers(connections: Connections, streams: UvicornStreams) -> list[Keeper]:
    return [connections, streams]


def watches(epoll: EpollWatch, loop: LoopWatch) -> list[Watch]:
    return [epoll, loop]


def client_of_a_sink(subscriber: Subscriber) -> SinkClient:
    return subscriber


def observers(
    admission: AdmissionControl,
    joining: Joining,
    feeds: Feeds,
    stop_watch: StopWatch,
    table: ChannelTable,
) -> list[Observer]:
    return [admission, joining, feeds, stop_watch, table]


def told_of_channels(feeds: Feeds, control: Control) -> list[ChannelEvents]:
    return [feeds, control]
