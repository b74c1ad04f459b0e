"""Responses to clients that get no stream."""

import pytest

from heliograph import EventStreamParser, HubClosedError, HubConfig, TooManySubscribersError
from heliograph.faces.refusal import Refusal, refusal_of, unavailable

STREAM = "text/event-stream"


def test_whole_response():
    """The body is one line, and its length is that of the bytes."""
    refusal = Refusal(400, "größe", (("X-A", "b"),))

    assert refusal.body == "größe\n".encode()
    assert refusal.all_headers == (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", "8"),
        ("X-A", "b"),
    )


def test_whole_stream():
    """The body has a length, no event and no block: only when to come back."""
    refusal = unavailable("not now", accept=STREAM, config=HubConfig())

    assert refusal.body == b":\nretry: %d\n" % refusal.retry_ms
    assert (refusal.status, refusal.text) == (200, "not now")
    assert refusal.all_headers == (
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Content-Length", str(len(refusal.body))),
        ("Cache-Control", "no-store, no-transform"),
        ("Vary", "Accept"),
    )
    parser = EventStreamParser()
    assert parser.feed(refusal.body) == []
    assert parser.reconnection_time_ms == refusal.retry_ms


ERRORS = [
    (TooManySubscribersError(3, "a", 7), 503, 7, "channel 'a' has its 3"),
    (TooManySubscribersError(3, None, 0), 503, 0, "this process has its 3"),
    (
        TooManySubscribersError(3, None, 9, address="192.0.2.1", what="channels"),
        429,
        9,
        "the address 192.0.2.1 has its 3 channels",
    ),
    (HubClosedError("the hub has been closed"), 503, 1, "has been closed"),
]


@pytest.mark.parametrize(("error", "status", "seconds", "words"), ERRORS)
def test_errors_of_a_hub(error, status, seconds, words):
    """The client is told why, and when to try again; an EventSource is told only when."""
    retry_after = ("Retry-After", str(seconds))
    vary = ("Vary", "Accept")

    refusal = refusal_of(error, accept="*/*", config=HubConfig())
    assert (refusal.status, refusal.headers) == (status, (retry_after, vary))
    assert words in refusal.text

    told = refusal_of(error, accept=STREAM, config=HubConfig())
    assert (told.status, told.text) == (200, refusal.text)
    assert 0.5 <= told.retry_ms / (1000 * max(seconds, 2)) <= 1.5

    # Then nothing depends on Accept.
    config = HubConfig(refuse_with_status=True)
    refused = refusal_of(error, accept=STREAM, config=config)
    assert refused == Refusal(status, refusal.text, (retry_after,))


@pytest.mark.parametrize("seconds", [0, 1, 5, 86_400])
def test_clients_do_not_return_together(seconds):
    """Nor soon enough to keep the server busy."""
    refusals = [
        unavailable("", accept=STREAM, config=HubConfig(), retry_after_seconds=seconds)
        for _ in range(1000)
    ]

    least, most = (pick(r.retry_ms for r in refusals) for pick in (min, max))
    assert least >= 1000
    assert most - least > 1000 * max(seconds, 2) / 2
    assert most <= 1500 * max(seconds, 2)


ACCEPT = [
    ("text/event-stream", True),
    ("Text/Event-Stream", True),
    ("text/event-stream;q=0.001", True),
    ("text/event-stream ; q=1", True),
    ("text/event-stream;charset=utf-8", True),
    ("text/event-stream, text/html", True),
    ("text/html,\ttext/event-stream\t,*/*;q=0.8", True),
    ("application/json, text/event-stream", True),
    (",, text/event-stream,", True),
    ("text/event-stream;", True),
    ("text/event-stream;q=0, text/event-stream;level=1", True),
    ("", False),
    ("*/*", False),
    ("text/*", False),
    ("text/html, */*;q=0.8", False),
    ("text/event-stream;q=0", False),
    ("text/event-stream; Q=0.000", False),
    ("text/event-stream;level=1;q=0.0", False),
    ("text/event-stream+xml", False),
    ("xtext/event-stream", False),
    ("text/event-stream/", False),
    ('text/html;x="text/event-stream"', False),
    ("text/ event-stream", False),
    ("," * 65_536, False),
    (";" * 65_536, False),
]


@pytest.mark.parametrize(("accept", "is_asked_for"), ACCEPT, ids=str)
def test_accept(accept, is_asked_for):
    """Only who names the type is told in a stream."""
    refusal = unavailable("", accept=accept, config=HubConfig())

    assert refusal.status == (200 if is_asked_for else 503)
