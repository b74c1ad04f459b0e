"""How long a stream lives: heartbeats, timeouts, and what follows its end."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ..finding import broken, fine, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Exchange, Observation

__all__ = ["TIMEOUTS", "check"]

# Seconds of silence after which a connection is closed, by default.
TIMEOUTS = {
    "HAProxy (common examples)": 50,
    "Heroku": 55,
    "nginx": 60,
    "AWS ALB": 60,
    "Apache": 60,
    "Cloudflare": 100,
}
_SHORTEST = min(TIMEOUTS.values())
# A silence this much longer than the longest before it is why the connection ended.
_LONGER = 1.5
# A stream that has survived this part of the time between heartbeats survives all of it.
_SURVIVED = 0.8
_SHORTEST_SILENCE = 0.5
# A stream that lives for less does not wait for heartbeats.
_AT_ONCE_SECONDS = 0.5
_PATIENT = "Run the doctor with --patient to find a limit of the whole time."


def check(seen: Observation) -> Iterator[Finding]:
    """Judge heartbeats and ends."""
    main = seen.main
    if not main.is_stream or main.undecodable or main.oversized:
        return
    if main.is_retry_answer:
        yield warning(
            "retry-answer",
            "The answer tells clients to reconnect, and ends: no events for now",
            f"status 200, retry: {main.retry_ms}",
            "The application is down, restarts, or has its limit of streams, and clients"
            " reconnect until that has passed. If it does not pass, start the application,"
            " or see its log for refused streams.",
        )
        return
    if main.has_finished:
        yield warning(
            "channel-ended",
            "All channels of the stream have ended",
            "the last event is heliograph.end",
            "Begin the channel again to publish more (begin), or ask for another one.",
        )
        return
    if main.end is not None:
        yield _ended(main)
        yield _afterwards(seen)
    elif (
        seen.target.patient_seconds and seen.watched_seconds >= seen.target.patient_seconds
    ):
        evidence = f"open after {seen.watched_seconds:.0f} s"
        yield fine("time-limit", "Nothing limits the time of the stream so far", evidence)
    else:
        yield skipped(
            "time-limit",
            "Whether something limits the whole time of a stream was not tried",
            f"watched for {seen.watched_seconds:.0f} s",
            _PATIENT,
        )
    yield from _heartbeats(seen)
    if main.end is None:
        yield skipped(
            "unavailable",
            "What clients get while the application restarts was not seen",
            "the application is up",
            "Stop the application and run the doctor again: it should find retry-answer,"
            " and no 502.",
        )


def _ended(main: Exchange) -> Finding:
    how = {
        "complete": "ended as a response ends",
        "cut": "cut in the middle of the response",
    }[main.end or "cut"]
    silence, total = main.silence_seconds, main.end_seconds or 0.0
    # Whatever closes a silent connection sends no last chunk: it is the application's.
    is_deliberate = main.end == "complete" and main.framing == "chunked"
    if _ended_by_silence(main) and not is_deliberate:
        every = main.opened.heartbeat_seconds if main.opened else None
        beats = f"; heartbeats come every {every:g} s" if every is not None else ""
        return broken(
            "idle-timeout",
            f"The connection is closed after {silence:.1f} s of silence",
            f"{how}, after {total:.1f} s{beats}",
            f"A timeout is shorter than the heartbeats. Raise it above them (nginx:"
            " proxy_read_timeout; HAProxy: timeout client and timeout server; Apache:"
            f" timeout of ProxyPass), or set SSE_HEARTBEAT_SECONDS below {silence:.1f}. If"
            f" it is still closed after {total:.0f} s then, the whole time is limited: see"
            " time-limit.",
        )
    if total <= _AT_ONCE_SECONDS:
        return broken(
            "ends-at-once",
            "The stream ends at once",
            f"{how}, after {total:.1f} s, with {len(main.events)} events",
            "A cache or a middleware answers with a stored body, or the application ends"
            " its streams: see its log.",
        )
    although = "" if silence >= _SHORTEST_SILENCE else ", although it was not silent"
    return warning(
        "time-limit",
        f"The stream ended after {total:.1f} s{although}",
        how,
        "Something limits the whole time of a response (Caddy: timeouts write; gunicorn:"
        " timeout of sync workers; a platform's request limit), or the application does"
        " (SSE_MAX_STREAM_SECONDS, an expired token). Clients reconnect and resume; raise"
        " the limit if it is short. If it ended after a silence, a timeout may be hardly"
        " longer than the time between heartbeats.",
    )


def _ended_by_silence(main: Exchange) -> bool:
    silence, longest = main.silence_seconds, _longest_silence(main)
    if silence < _SHORTEST_SILENCE:
        return False
    every = main.opened.heartbeat_seconds if main.opened else None
    if every is None:
        return silence > _LONGER * longest
    # Later, the end came with a heartbeat, which something refused: Heliograph sends those
    # that are due soon together with others.
    return max(longest, silence) < _SURVIVED * every


def _longest_silence(main: Exchange) -> float:
    times = [main.head_seconds or 0.0, *(arrival.seconds for arrival in main.arrivals)]
    return max((b - a for a, b in itertools.pairwise(times)), default=0.0)


def _afterwards(seen: Observation) -> Finding:
    again = seen.again
    retry = f"retry: {seen.main.retry_ms}" if seen.main.retry_ms is not None else "no retry"
    if again is not None and again.is_stream:
        return fine("close", "After its end the stream can be opened again", retry)
    status = "no answer" if again is None or not again.status else f"status {again.status}"
    return broken(
        "close",
        "After its end the stream cannot be opened again",
        f"{status}; {retry}",
        "A browser reconnects after the end of a stream, and closes for good if the answer"
        " is no stream. See the log of the application for that request.",
    )


def _heartbeats(seen: Observation) -> Iterator[Finding]:
    main = seen.main
    opened = main.opened
    stated = opened.heartbeat_seconds if opened else None
    came = main.heartbeats
    quickest = ", ".join(f"{name} {seconds} s" for name, seconds in TIMEOUTS.items())
    if opened is not None and stated is None:
        yield warning(
            "heartbeat",
            "The stream has no heartbeats, so proxies close it when it is silent",
            f"heartbeat_seconds: null; timeouts: {quickest}",
            "Set SSE_HEARTBEAT_SECONDS = 15.",
        )
    elif stated is not None and stated >= _SHORTEST:
        below = [name for name, seconds in TIMEOUTS.items() if seconds <= stated]
        yield warning(
            "heartbeat",
            f"Heartbeats come every {stated:g} s, which is too rare for common proxies",
            f"default timeouts that are not longer: {', '.join(below)}",
            "Set SSE_HEARTBEAT_SECONDS = 15.",
        )
    elif came:
        every = f"every {stated:g} s" if stated is not None else f"after {came[0]:.0f} s"
        yield fine("heartbeat", "Heartbeats arrive", f"{every}; timeouts: {quickest}")
    elif main.end is not None:
        return
    elif stated is not None and _silence_until_now(seen) > stated + 1.0:
        yield broken(
            "heartbeat",
            f"No heartbeat has arrived, though one is due every {stated:g} s",
            f"silent for {_silence_until_now(seen):.0f} s",
            "Something holds the body back after the first bytes: see buffering. Or the"
            " process that served the stream hangs or was killed.",
        )
    elif (
        stated is None
        and (longest := max(_silence_until_now(seen), _longest_silence(main))) > _SHORTEST
    ):
        yield warning(
            "heartbeat",
            f"The stream was silent for {longest:.0f} s",
            f"default timeouts of silence: {quickest}",
            "Send a comment every 15 seconds, so that proxies keep the connection.",
        )
    else:
        yield skipped(
            "heartbeat",
            "No heartbeat was due while the stream was watched",
            f"watched for {seen.watched_seconds:.0f} s"
            + (f"; one every {stated:g} s" if stated is not None else ""),
            f"Give --wait {stated or _SHORTEST:g} or more.",
        )


def _silence_until_now(seen: Observation) -> float:
    arrivals = seen.main.arrivals
    return seen.watched_seconds - (arrivals[-1].seconds if arrivals else 0.0)
