"""Streams that a thread of the server serves, where its connection cannot be taken over."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING

from ..sinks import PullSink, can_see_clients, tune_descriptor
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
        Whole blocks; a comment after silence.
    """
    if is_stopping is not None:
        post(hub.finish_when, ticket, is_stopping)
    sink = PullSink(
        post=post,
        descriptor=descriptor,
        on_aborted=None if adapter is None else adapter.abort,
    )
    heartbeat = hub.config.heartbeat_seconds or math.inf
    ends = math.inf
    if descriptor is not None:
        tune_descriptor(descriptor, hub.config)
    if adapter is not None:
        adapter.tune(hub.config)
        adapter.watch(sink.abort)
    elif descriptor is None:
        heartbeat = min(heartbeat, timings.blind_heartbeat_seconds)
        seconds = timings.blind_stream_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
        ends = time.monotonic() + seconds
    elif not can_see_clients():
        heartbeat = min(heartbeat, timings.blind_heartbeat_seconds)
    try:
        post(hub.attach, ticket, sink)
        while (data := sink.pull(heartbeat)) is not None:
            yield data or b":\n\n"
            if time.monotonic() > ends:
                break
    finally:
        # In this order: the connection is the server's, and may have another request.
        sink.release()
        post(hub.release, ticket)
