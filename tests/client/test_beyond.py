"""What the client does beyond the standard while it is connected, against scripts."""

import gzip
import json
import time
import zlib

import httpx2
import pytest
from client_reader import ALL, QUICK, Reader
from scripted import HOLD, KEPT, READ, STREAM, head, redirect

from heliograph.client import (
    End,
    Gap,
    MessageEvent,
    ReadyState,
    machine,
)
from heliograph.errors import EventTooLargeError

X = b"data: x\n\n"
X1 = b"id: 1\n" + X
HURRY = b"retry: 1\n\n"


OPENING = b'event: heliograph.open\ndata: {"heartbeat_seconds": 0.03}\n\n'
SILENCES = [
    pytest.param([HOLD], 0.1, id="no head"),
    pytest.param([STREAM, HOLD], 0.1, id="no byte"),
    pytest.param([STREAM + X, HOLD], 0.1, id="no further byte"),
    pytest.param([STREAM + b"data: ", HOLD], 0.1, id="in an event"),
    pytest.param([STREAM + OPENING + X, HOLD], "heartbeats", id="no heartbeat"),
    pytest.param(
        [STREAM + OPENING, READ, b":\n", HOLD], "heartbeats", id="no further heartbeat"
    ),
    pytest.param(
        [head(200, "Content-Encoding: gzip") + gzip.compress(b"")[:10], HOLD],
        0.1,
        id="a coding's head",
    ),
]


@pytest.mark.parametrize("face", ALL)
@pytest.mark.parametrize(("steps", "timeout"), SILENCES)
def test_silence(steps, timeout, face, script):
    """A server that says nothing for too long is lost: the client connects again."""
    # Several, since a busy machine may be silent for as long by itself.
    url = script(steps, *[[STREAM + X]] * 5)
    reader = Reader(face, url, timeout=timeout, reconnect=QUICK)

    assert isinstance(reader.errors[0], httpx2.ReadTimeout)
    assert "no byte for" in str(reader.errors[0])
    assert reader.events[-1] == MessageEvent("x")
    assert reader.error is None


def test_no_heartbeats(face, script, monkeypatch):
    """
    A stream that says it has none may be silent for any time.

    In a loop its first connection still has the limit for unknown servers.
    """
    monkeypatch.setattr(machine, "_SILENCE_SECONDS", 0.2)
    opening = b'event: heliograph.open\ndata: {"heartbeat_seconds": null}\n\n'
    steps = [STREAM + opening, lambda _: time.sleep(0.6), X]

    reader = Reader(face, script(steps, steps), reconnect=QUICK)

    lost = [str(error) for error in reader.errors if error is not None]
    assert lost == ([] if face == "threads" else ["no byte for 0.2 seconds"])
    assert reader.events[-1] == MessageEvent("x")
    assert reader.error is None


@pytest.mark.parametrize("of_caller", [False, True])
def test_silence_of_a_kept_connection(of_caller, face, script):
    """A request on a connection of an earlier one may get no answer, too."""
    kind = httpx2.Client if face == "threads" else httpx2.AsyncClient
    data = HURRY + X

    reader = Reader(
        face,
        script([KEPT % (len(data), data), HOLD], [STREAM + X]),
        timeout=0.5,
        reconnect=QUICK,
        client=kind if of_caller else None,
    )

    assert reader.events == [MessageEvent("x")] * 2
    assert reader.error is None


@pytest.mark.parametrize(
    "interval", ["NaN", "Infinity", "-1", "0", "1" + 400 * "0", "true", '"1"', 9_999 * "["]
)
def test_heartbeats_of_another_server(interval, face, script):
    """What no stream of Heliograph says is ignored."""
    data = (
        b'event: heliograph.open\ndata: {"heartbeat_seconds": %s}\n\n' % interval.encode()
    )

    reader = Reader(face, script([STREAM + HURRY + data + X]), reconnect=QUICK)

    assert reader.events == [MessageEvent("x")]
    assert reader.source._reading.machine.silence_seconds == 300


def test_events_of_heliograph(face, script):
    """A gap and the end of a channel are values of their own; the opening is no event."""
    gap = {"channels": ["a", "b"], "reasons": {"a": "trimmed", "b": "epoch"}}
    stream = (
        b'event: heliograph.open\ndata: {"heartbeat_seconds": 15}\n\n'
         b"event: heliograph.gap\ndata: " + json.dumps(gap).encode() + b"\n\n"
        + b'id: 1\ndata: {"a": [1]}\n\n'
        + b'event: heliograph.end\ndata: {"channel": "a"}\n\n'
        + b"event: heliograph.other\ndata: y\n\n"
    )  # fmt: skip

    first, event, end, other = Reader(face, script([STREAM + HURRY + stream])).events

    assert type(first) is Gap
    assert (first.channels, first.reasons) == (gap["channels"], gap["reasons"])
    assert (type(event), event.json(), event.last_event_id) == (
        MessageEvent,
        {"a": [1]},
        "1",
    )
    assert (type(end), end.channel) == (End, "a")
    assert other == MessageEvent("y", "heliograph.other", "1")


def _coded(name, pieces):
    steps = [head(200, f"Content-Encoding: {name}")]
    return [*steps, *(step for piece in pieces for step in (piece, READ))]


def _deflated(wbits):
    # Each event can be read once its bytes are there.
    coder = zlib.compressobj(wbits=wbits)
    for event in (HURRY, b"data: \xe2\x82\xac" * 1 + b"y" * 300 + b"\n\n", X):
        yield coder.compress(event) + coder.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("whole", [True, False], ids=["event by event", "byte by byte"])
@pytest.mark.parametrize(
    ("coding", "wbits"),
    [("gzip", 31), ("deflate", 15), ("identity", None)],
)
def test_content_codings(coding, wbits, whole, face, script):
    """Events are there as soon as their last byte is, in each coding."""
    parts = (
        [HURRY, "data: €".encode() + b"y" * 300 + b"\n\n", X]
        if wbits is None
        else list(_deflated(wbits))
    )
    if not whole:
        parts = [bytes([byte]) for part in parts for byte in part]

    reader = Reader(face, script(_coded(coding, parts)))

    assert [event.data for event in reader.events] == ["€" + "y" * 300, "x"]
    assert reader.errors[0] is None or isinstance(reader.errors[0], httpx2.DecodingError)


@pytest.mark.parametrize(
    "wire",
    [
        b"data: " + b"y" * 100 + b"\n\n",
        b"data: yyyyyyyyyy\n" * 10 + b"\n",
        b"y" * 101,
        b":" * 101,
        b"id: " + b"y" * 100 + b"\n\n",
    ],
    ids=["data", "lines of data", "a line without an end", "a comment", "an id"],
)
def test_an_event_that_is_too_large(wire, face, script):
    """It ends the stream with an error, after the events before it."""
    reader = Reader(face, script([STREAM + HURRY + X + wire + X, HOLD]), max_event_bytes=99)

    assert reader.events == [MessageEvent("x")]
    assert isinstance(reader.error, EventTooLargeError)
    assert reader.source.ready_state is ReadyState.CLOSED
    assert reader.closings == 1


def test_request(face, script, server):
    """Parameters, headers and the first id are part of the request."""
    url = script([STREAM + HURRY])

    reader = Reader(
        face, url + "?a=1", params={"b": "ä"}, headers={"Accept": "text/event-stream, */*", "X-A": "ü"},
        last_event_id="é", auth=("u", "p"),
    )  # fmt: skip

    for request in server.requests(url):
        assert request.path == "s?a=1&b=%C3%A4"
        assert request.header("accept") == b"text/event-stream, */*"
        assert request.header("cache-control") == b"no-cache"
        assert request.header("x-a") == "ü".encode()
        assert request.header("authorization") == b"Basic dTpw"
        assert request.header("last-event-id") == "é".encode()
        assert request.header("content-type") is None
    assert reader.source.last_event_id == "é"


@pytest.mark.parametrize("face", ALL)
def test_callbacks(face, script):
    """Each opening, each wait and the end are told, in the order of the events."""
    url = script([redirect(302, "b")], [STREAM + HURRY + X1], [])

    reader = Reader(face, url)

    assert [opening.last_event_id for opening in reader.openings] == [""]
    assert reader.openings[0].url.endswith("/b")
    assert reader.openings[0].headers["content-type"] == "text/event-stream"
    assert reader.errors[0] is None
    assert isinstance(reader.errors[1], httpx2.RemoteProtocolError)
    assert len(reader.errors) == 2
    assert reader.closings == 1
    assert reader.source.last_event_id == "1"
    assert reader.source.ready_state is ReadyState.CLOSED


@pytest.mark.parametrize("face", ALL)
def test_a_client_of_the_caller(face, script, server):
    """Its headers are sent, and it stays open."""
    kind = httpx2.Client if face == "threads" else httpx2.AsyncClient

    reader = Reader(
        face, url := script([STREAM + HURRY + X]), client=lambda: kind(headers={"X-A": "1"})
    )

    assert reader.events == [MessageEvent("x")]
    assert {request.header("x-a") for request in server.requests(url)} == {b"1"}
