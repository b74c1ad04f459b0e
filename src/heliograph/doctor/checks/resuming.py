"""Whether a client that reconnects gets what it missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..finding import broken, fine, skipped, warning
from .storage import has_other_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Observation

__all__ = ["check"]


def check(seen: Observation) -> Iterator[Finding]:
    """Judge the streams that were opened with an id."""
    main = seen.main
    if not main.is_stream or not main.events:
        return
    if not main.last_event_id:
        yield warning(
            "resume",
            "The events have no ids, so a client that reconnects misses what came"
            " meanwhile",
            f"{len(main.events)} events without an id",
            "Send an id with each event, and honour Last-Event-ID. Heliograph does both.",
        )
    elif main.opened is None:
        yield skipped(
            "resume",
            "Whether the stream resumes cannot be told",
            "this is no stream of Heliograph, which would say so in heliograph.open",
            "Reconnect with Last-Event-ID after some events, and compare what comes.",
        )
    elif seen.copies:
        yield from _reconnected(seen)


def _reconnected(seen: Observation) -> Iterator[Finding]:
    main = seen.main
    copies = [copy for copy in seen.copies if copy.is_stream and copy.events]
    unanswered = [copy for copy in seen.copies if copy.is_deferred or not copy.status]
    if not copies and unanswered:
        yield skipped(
            "resume",
            "Whether the stream resumes was not tried",
            "the server had no room for a second stream",
            "See second-stream.",
        )
        return
    if not copies:
        yield broken(
            "resume",
            "A stream with Last-Event-ID gets no event",
            f"{len(seen.copies)} streams were opened",
            "See the log of the application, and compare with a request without the"
            " header.",
        )
        return
    lost = [copy for copy in copies if copy.opened is None or not copy.opened.resumed]
    if lost and not any(copy.gap for copy in lost):
        yield _dropped(seen)
    elif any(has_other_storage(main, copy) for copy in copies):
        return  # which is what the check of the storage says
    elif any(copy.gap for copy in copies):
        yield warning(
            "resume",
            "The stream resumes with a gap",
            next(copy.gap for copy in copies if copy.gap) or "",
            "History does not reach back to an id that is some seconds old: raise"
            " SSE_HISTORY_EVENTS and SSE_HISTORY_SECONDS.",
        )
    else:
        times = f"{len(copies)} of {len(copies)} times"
        yield fine("resume", "A client that reconnects resumes", times)
        yield from _gap(seen)


def _dropped(seen: Observation) -> Finding:
    query = seen.by_query
    arrives = query is not None and query.opened is not None and query.opened.resumed
    return broken(
        "resume",
        "The header Last-Event-ID does not reach the application",
        "resumed: false with the header"
        + ("; true with ?lastEventId= in the URL" if arrives else ""),
        "A proxy removes the header (nginx: proxy_set_header Last-Event-ID; a gateway or a"
        " content delivery network: its list of headers that are passed on). Let it pass,"
        " or put the id into the URL as lastEventId.",
    )


def _gap(seen: Observation) -> Iterator[Finding]:
    strange = seen.strange
    if strange is None or not strange.events:
        return  # it was not answered, or refused as one stream too many
    if strange.gap is not None:
        yield fine(
            "gap", "An id that is not known is answered with a gap event", strange.gap
        )
    else:
        yield warning(
            "gap",
            "An id that is not known is answered without a gap event",
            "",
            "The stream begins as if nothing was missing: check what handles Last-Event-ID"
            " between the client and Heliograph.",
        )
