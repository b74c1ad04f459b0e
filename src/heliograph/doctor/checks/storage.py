"""Whether all workers, and who publishes, share one storage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..finding import broken, fine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Exchange, Observation, Publication

__all__ = ["check", "has_other_storage"]


def check(seen: Observation) -> Iterator[Finding]:
    """Judge epochs, and where a published event arrived."""
    main = seen.main
    if not main.is_stream or main.opened is None:
        if seen.publication is not None and seen.publication.failure:
            yield _not_published(seen.publication)
        return
    streams = [one for one in (main, seen.plain, *seen.copies) if one and one.opened]
    published = seen.publication
    others = [one for one in streams if has_other_storage(main, one)]
    partly = (
        published is not None
        and any(delay is None for delay in published.delays)
        and any(delay is not None for delay in published.delays)
    )
    if others:
        yield broken(
            "memory",
            "Streams of the same channel have different storages",
            f"{len(others)} of {len(streams)} streams have another epoch",
            "Each worker or machine has its own: memory: behind several workers, or a"
            " file on each of several machines. Let all share one: the default file on"
            " one machine, Redis on several.",
        )
    elif partly:
        yield broken(
            "memory",
            "A published event reaches only some streams",
            f"{sum(delay is not None for delay in published.delays)} of"
            f" {len(published.delays)} streams"
            if published
            else "",
            "Workers have storages of their own, or one of them hangs. Compare SSE_URL of"
            " all workers.",
        )
    elif len(streams) > 1:
        yield fine(
            "memory",
            "All streams share one storage",
            f"{len(streams)} streams, the same epoch",
        )
    if published is not None:
        yield from _publication(main, published, is_partly=partly)


def has_other_storage(main: Exchange, other: Exchange) -> bool:
    """
    Return whether two streams of the same channels come from different storages.

    A stream that resumes opens with the client's position, and a gap event says that the
    epoch is another one; without one the storage knows the position, though it may have
    given the channel a new epoch at its first event. A stream that does not resume opens
    with the epoch itself.
    """
    if other.opened is not None and other.opened.resumed:
        if other.gap is None:
            return False
        try:
            reasons = json.loads(other.gap)["reasons"]
        except (ValueError, KeyError, TypeError):
            return False
        return "epoch" in reasons.values()
    return any(
        other.epochs.get(name, epoch) != epoch for name, epoch in main.epochs.items()
    )


def _publication(
    main: Exchange, published: Publication, *, is_partly: bool
) -> Iterator[Finding]:
    opened = main.opened
    if published.failure is not None:
        yield _not_published(published)
    elif opened is not None and published.channel not in opened.channels:
        yield broken(
            "publish",
            f"The stream does not have the channel {published.channel!r}",
            f"its channels: {', '.join(opened.channels)}",
            "Give --channel one of the stream's channels, or the URL the channel"
            " (?channel=…).",
        )
    elif main.epochs.get(published.channel, published.epoch) != published.epoch:
        yield broken(
            "storage",
            "--publish is another storage than the stream's, so nothing was published",
            f"epoch {published.epoch} there, {main.epochs[published.channel]} in the"
            " stream",
            "Publish to the URL that the application has (SSE_URL): a relative sqlite:///"
            " path begins in another folder for each program, and Redis has databases,"
            " prefixes and addresses.",
        )
    elif published.delays and all(
        delay is None for delay in (*published.delays, published.plain_delay)
    ):
        if published.padding is None or not published.padding.arrived:
            yield broken(
                "publish",
                "A published event does not arrive",
                "it is in the storage of the stream",
                "See the log of the application, heliograph.hub and heliograph.events. Or"
                " something holds the body back after the first event: see buffering.",
            )
    elif not is_partly:
        yield fine("storage", "What is published reaches the stream", published.channel)


def _not_published(published: Publication) -> Finding:
    return broken(
        "publish",
        "The event could not be published",
        published.failure or "",
        "Give --publish the URL of the application's storage (SSE_URL).",
    )
