"""Whether what is sent arrives at once: the head, the first byte, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..finding import broken, fine, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Exchange, Observation, Publication

__all__ = ["check"]

_SLOW_SECONDS = 2.0
_LATE_SECONDS = 1.0
_UNBUFFER = (
    "Switch buffering off for the path of the stream. nginx: remove proxy_ignore_headers"
    " X-Accel-Buffering, or set proxy_buffering off. HAProxy: no"
    " http-response wait-for-body. Others: look for buffering, response transformation,"
    " virus scanning. Test the application without the proxy to be sure."
)


def check(seen: Observation) -> Iterator[Finding]:
    """Judge the times of what arrived."""
    main = seen.main
    if main.status == 0:
        if main.fault is None:
            yield from _no_head(seen)
        return
    if not main.is_stream:
        return
    if main.is_retry_answer:
        return
    if seen.publication is None or seen.publication.padding is None:
        yield _head(main)
    if main.undecodable is not None:
        yield broken(
            "encoding",
            "The body is not encoded as the head says, or as was asked for",
            main.undecodable,
            "Two things encode the response, one removes the encoding and keeps the header,"
            " or one encodes for clients that did not ask. Switch compression off for the"
            " stream in one of them.",
        )
        return
    if main.oversized is not None:
        yield broken(
            "event-size",
            "An event is too large for clients",
            main.oversized.partition(":")[0],
            "Publish a link to large data instead of the data. If no event is so large, the"
            " empty line after an event is missing.",
        )
        return
    yield from _more_streams(seen)
    yield from _first_byte(seen)
    yield from _events(seen)
    yield from _accel(seen)


def _no_head(seen: Observation) -> Iterator[Finding]:
    waited = f"no response head in {seen.target.timeout_seconds:g} s"
    padding = seen.publication.padding if seen.publication else None
    if padding is not None and padding.arrived:
        yield broken(
            "buffering",
            f"Something buffers the response until it has about {padding.bytes} bytes",
            f"{waited}; head and events came after {padding.bytes} bytes were published",
            _UNBUFFER,
        )
        return
    yield broken(
        "head",
        "The request is accepted, and no response head comes",
        waited,
        "Either something buffers the response, or the application does not answer: its"
        " workers are all busy, or wait for storage. Test it without the proxy: if a head"
        f" comes there, the proxy buffers. {_UNBUFFER}",
    )


def _head(main: Exchange) -> Finding:
    seconds = main.head_seconds or 0.0
    if seconds <= _SLOW_SECONDS:
        return fine("head", "The response head comes at once", f"after {_ms(seconds)}")
    return warning(
        "head",
        "The response head comes late",
        f"after {seconds:.1f} s",
        "The application waits before it answers, or its workers are busy. If it is fast"
        " without the proxy, the proxy buffers.",
    )


def _more_streams(seen: Observation) -> Iterator[Finding]:
    more = [one for one in (seen.plain, *seen.copies) if one is not None]
    deferred = [one for one in more if one.is_deferred]
    unanswered = [one for one in more if not one.status]
    if deferred:
        yield warning(
            "second-stream",
            "The server has no room for more streams from here",
            f"status {deferred[0].status}, retry: {deferred[0].retry_ms}",
            "Each tab of a browser needs a stream. Raise SSE_MAX_SUBSCRIBERS_PER_ADDRESS or"
            " SSE_MAX_SUBSCRIBERS, and configure the address behind a proxy. Or a proxy"
            " limits connections (nginx: limit_conn, limit_req).",
        )
    elif unanswered:
        yield broken(
            "second-stream",
            "Another stream gets no answer while the first one is open",
            f"{len(unanswered)} of {len(more)} streams more had no response head",
            "The server answers few requests at a time, and each stream holds one of its"
            " workers or threads. Use a server whose connections Heliograph takes over,"
            " such as gunicorn, or more threads. Or a proxy queues what is beyond its limit"
            " (HAProxy: maxconn of a server).",
        )


def _first_byte(seen: Observation) -> Iterator[Finding]:
    main, plain = seen.main, seen.plain
    coding = main.header("content-encoding")
    if main.arrivals:
        late = main.arrivals[0].seconds - (main.head_seconds or 0.0)
        if late <= _SLOW_SECONDS:
            evidence = f"{_ms(late)} after the head"
            yield fine("first-byte", "The first bytes come with the head", evidence)
            return
        evidence = f"{late:.1f} s after the head"
    else:
        evidence = f"nothing in {seen.watched_seconds:.0f} s"
    if coding is not None and plain is not None and plain.arrivals and not main.arrivals:
        # What differs is the compression alone.
        yield _compression(coding, f"{evidence}; without compression the first bytes came")
    elif not _may_be_silent(seen):
        yield warning(
            "first-byte",
            "The head arrives, and the bytes after it come late or not at all",
            evidence,
            f"Something holds the body back. {_UNBUFFER}",
        )
    else:
        yield skipped(
            "first-byte",
            "The stream has been silent, so it is not known whether something holds it"
            " back",
            evidence,
            "Send a comment when a stream begins, or give --wait a longer time.",
        )


def _may_be_silent(seen: Observation) -> bool:
    """Return whether silence means nothing: the stream does not greet its clients."""
    control = seen.main.header("cache-control") or ""
    # As Heliograph writes it. Its streams begin with a greeting.
    return seen.main.opened is None and control != "no-store, no-transform"


def _events(seen: Observation) -> Iterator[Finding]:
    main, published = seen.main, seen.publication
    coding = main.header("content-encoding")
    if published is None:
        bursts = _bursts(main)
        if bursts:
            yield warning(
                "buffering",
                "Heartbeats arrive in bursts",
                bursts,
                f"Something collects them. {_UNBUFFER}",
            )
        elif seen.target.broker is None:
            yield skipped(
                "buffering",
                "Whether a published event arrives at once was not tried",
                "no --publish",
                "Give --publish the URL of the application's storage, such as"
                " redis://localhost:6379/0: the doctor publishes an event and measures.",
            )
        return
    if published.failure is not None or not published.delays:
        return
    delay, plain = published.delays[0], published.plain_delay
    if delay is not None and delay <= _LATE_SECONDS:
        what = f" ({coding})" if coding else ""
        yield fine("buffering", f"An event arrives at once{what}", f"after {_ms(delay)}")
    elif coding is not None and plain is not None and plain <= _LATE_SECONDS:
        took = "not within the test" if delay is None else f"after {delay:.1f} s"
        yield _compression(coding, f"{took}; not compressed after {_ms(plain)}")
    elif delay is not None:
        evidence = f"after {delay:.1f} s"
        yield broken("buffering", "An event arrives late", evidence, _UNBUFFER)
    elif published.padding is not None and published.padding.arrived:
        yield _until_full(published)


def _until_full(published: Publication) -> Finding:
    assert published.padding is not None  # noqa: S101 - as the caller has seen
    return broken(
        "buffering",
        "Something collects events until its buffer is full",
        f"an event arrived after {published.padding.bytes} bytes more were published",
        _UNBUFFER,
    )


def _compression(coding: str, evidence: str) -> Finding:
    return broken(
        "compression",
        f"Compression ({coding}) holds events back",
        evidence,
        "What compresses does not flush after each event. Leave text/event-stream out of it"
        " (nginx: gzip_types; a middleware: its list of types). Heliograph compresses"
        " streams itself, without a delay: SSE_COMPRESSION.",
    )


def _bursts(main: Exchange) -> str:
    for arrival in main.arrivals:
        beats = [line for line in arrival.data.splitlines() if line == b":"]
        if len(beats) > 1:
            return f"{len(beats)} heartbeats at once, after {arrival.seconds:.1f} s"
    return ""


def _accel(seen: Observation) -> Iterator[Finding]:
    value = seen.main.header("x-accel-buffering")
    published = seen.publication
    delayed = published is not None and (
        published.padding is not None
        or bool(published.delays and (published.delays[0] or 0.0) > _LATE_SECONDS)
    )
    if value is not None and value.strip().lower() == "no":
        yield fine("accel-buffering", "X-Accel-Buffering: no arrives")
    elif delayed:
        yield warning(
            "accel-buffering",
            "X-Accel-Buffering: no does not arrive, and events are delayed",
            f"X-Accel-Buffering: {value}",
            "A proxy between the application and nginx may have removed the header, so that"
            " nginx buffers: let it pass, or set proxy_buffering off in nginx.",
        )
    else:
        yield fine(
            "accel-buffering",
            "X-Accel-Buffering does not arrive, and nothing is delayed",
            "nginx obeys the header and removes it",
        )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
