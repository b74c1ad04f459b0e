"""Streams that a thread of the server serves, where its connection cannot be taken over."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING

from ..sinks import PullSink, can_see_clients, tune_descriptor
from . import process
from .loop import post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..hub import Hub
    from ..interface import Adapter, Ticket
    from ..timings import Timings

__all__ = ["pull"]


def pull(
    hub: Hub,
    ticket: Ticket,
    descriptor: int | None,
    *,
    adapter: Adapter | None,
    is_stopping: Callable[[], bool] | None,
    timings: Timings,
) -> Iterator[bytes]:
    """
    Serve a client from the thread that iterates. See :meth:`.interface.StreamHub.pull`.

    Args:
        hub: Has admitted the client.
        ticket: Of the client.
        descriptor: Of the client's connection, if it is known.
        adapter: Another way to it.
        is_stopping: Answers for the server.
        timings: Of streams that cannot see their client.

    Yields:
        Whole blocks.
    """
    if is_stopping is not None:
        post(hub.finish_when, ticket, is_stopping)
    sink = PullSink(
        post=post,
        descriptor=descriptor,
        on_aborted=None if adapter is None else adapter.abort,
    )
    # How long the thread waits for bytes before it asks for some, and when the stream ends.
    silence, ends = math.inf, math.inf
    try:
        if descriptor is not None:
            tune_descriptor(descriptor, hub.config)
        if adapter is not None:
            adapter.tune(hub.config)
            # From whatever thread: only the loop may end the stream.
            adapter.watch(lambda: post(sink.abort))
        elif descriptor is None:
            silence = _blind_silence(hub, timings)
            seconds = timings.blind_stream_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
            ends = time.monotonic() + seconds
        elif not can_see_clients():
            silence = _blind_silence(hub, timings)
        post(hub.attach, ticket, sink)
        while (data := sink.pull(silence)) is not None:
            if data:
                yield data
            else:
                sink.ask_for_heartbeat()
            if time.monotonic() > ends:
                break
    finally:
        # In this order: the connection is the server's, and may have another request.
        sink.release()
        # In a forked child the hub is the parent's: what a release does there would reach
        # the parent's connection to its broker.
        if process.hub_of(ticket.hub) is hub:
            post(hub.release, ticket)


def _blind_silence(hub: Hub, timings: Timings) -> float:
    return min(hub.config.heartbeat_seconds or math.inf, timings.blind_heartbeat_seconds)
