"""When and how the client reconnects beyond what the standard says, against scripts."""

import json
import time
from email.utils import formatdate

import pytest
from client_reader import QUICK, Reader
from scripted import RESET, STREAM, head

from heliograph.client import (
    ConnectionLostError,
    MessageEvent,
    Reconnect,
    StreamRefusedError,
    Target,
)

X = b"data: x\n\n"
X1 = b"id: 1\n" + X
HURRY = b"retry: 1\n\n"


PASSING = [429, 502, 503, 504]
# The value of Retry-After, and the seconds until the next attempt; the delay is 1 ms.
DELAYS = [
    pytest.param(None, 0.001, id="none"),
    pytest.param("0", 0.001, id="zero"),
    pytest.param("120", 120, id="seconds"),
    pytest.param(" 7 ", 7, id="blanks"),
    pytest.param("-1", 0.001, id="negative"),
    pytest.param("1.5", 0.001, id="no integer"),
    pytest.param("soon", 0.001, id="a word"),
    pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0.001, id="a date that has passed"),
    pytest.param("Thu, 99 Foo 1970 00:00:00 GMT", 0.001, id="a date that is none"),
]


@pytest.mark.parametrize(("value", "seconds"), DELAYS)
def test_retry_after(value, seconds, script):
    """Retry-After names the delay after a status that passes."""
    lines = [] if value is None else [f"Retry-After: {value}"]

    reader = Reader("threads", script([head(503, *lines)]), reconnect=QUICK, close_after=1)

    assert reader.waits == [seconds]
    assert reader.error is None


def test_retry_after_a_date(face, script):
    """A date counts from now."""
    value = formatdate(time.time() + 1000, usegmt=True)

    reader = Reader(face, script([head(429, f"Retry-After: {value}")]), close_after=1)

    assert 0 < reader.waits[0] <= 1000


@pytest.mark.parametrize("status", PASSING)
def test_a_status_that_passes(status, face, script):
    """Attempts go on after it, and the id is kept."""
    url = script([STREAM + HURRY + X1], [head(status)], [head(status)], [STREAM + X])

    reader = Reader(face, url, reconnect=QUICK)

    assert reader.events == [MessageEvent("x", last_event_id="1")] * 2
    assert [getattr(error, "status", None) for error in reader.errors] == [
        None,
        status,
        status,
        None,
    ]


@pytest.mark.parametrize(
    ("reconnect", "status"),
    [
        (Reconnect.STRICT, 503),
        (False, 503),
        (Reconnect(statuses={500}), 503),
        (None, 500),
    ],
)
def test_a_status_that_does_not_pass(reconnect, status, face, script):
    """The error carries the status and the beginning of what the server says."""
    url = script([head(status, content_type="text/plain") + b"out of order " + b"y" * 9000])

    reader = Reader(face, url, reconnect=reconnect)

    assert isinstance(reader.error, StreamRefusedError)
    assert reader.error.status == status
    assert reader.error.body.startswith("out of order y")
    assert len(reader.error.body) < 9000
    assert reader.waits == []
    assert reader.closings == 1


# Connections that fail, or not, and the delays between them.
BACKOFF = [
    pytest.param([[]] * 5, [0.001, 0.002, 0.004, 0.004, 0.004], id="grows up to a limit"),
    pytest.param([[RESET], [head(503)], []], [0.001, 0.002, 0.004], id="whatever fails"),
    pytest.param(
        [[], [], [STREAM], [], []],
        [0.001, 0.002, 0.001, 0.001, 0.002],
        id="begins again after a stream",
    ),
    pytest.param(
        [[STREAM + b"retry: 2\n\n"], [], [], []],
        [0.002, 0.002, 0.004, 0.004],
        id="begins at the reconnection time",
    ),
    pytest.param(
        [[STREAM + b"retry: 9\n\n"], [], []],
        [0.009, 0.009, 0.009],
        id="a longer reconnection time holds",
    ),
    pytest.param([[STREAM]] * 4, [0.001] * 4, id="streams that end at once do not fail"),
]


@pytest.mark.parametrize(("connections", "waits"), BACKOFF)
def test_backoff(connections, waits, face, script):
    """The delay grows while attempts fail."""
    reader = Reader(face, script(*connections), reconnect=QUICK)

    assert reader.waits == waits
    assert reader.error is None


def test_jitter(script):
    """Delays differ around those that are named, unless the server has named them."""
    policy = Reconnect(first_seconds=0.001, longest_seconds=0.001, jitter=0.5)

    reader = Reader("threads", script(*[[]] * 20, [STREAM + HURRY]), reconnect=policy)

    *drawn, named = reader.waits
    assert len(set(drawn)) > 1
    assert all(0.0005 <= wait <= 0.0015 for wait in drawn)
    assert named == 0.001


def test_attempts(face, script):
    """After so many failures in a row the connection is given up; a stream resets the count."""
    policy = Reconnect(first_seconds=0.001, longest_seconds=0.001, attempts=3)
    url = script([], [], [STREAM + X], [], [], [RESET], [STREAM + X])

    reader = Reader(face, url, reconnect=policy)

    assert reader.events == [MessageEvent("x")]
    assert isinstance(reader.error, ConnectionLostError)
    assert "3 attempts" in str(reader.error)
    assert len(reader.waits) == 5


# How a POST goes on: the connections, whether it may reconnect, how many requests it sends, and
# whether it raises.
POSTS = [
    pytest.param([[STREAM + X], [STREAM + X]], None, 1, False, id="no ids, ends"),
    pytest.param(
        [[head(200, "Content-Length: 99") + X], [STREAM + X]],
        None,
        1,
        True,
        id="no ids, cut",
    ),
    pytest.param([[], [STREAM + X]], None, 1, True, id="no answer"),
    pytest.param([[head(503)], [STREAM + X]], None, 1, True, id="503"),
    pytest.param([[STREAM + HURRY + X1], [], [STREAM + X]], None, 4, False, id="ids"),
    pytest.param(
        [[STREAM + HURRY + X1], [STREAM + b"id\n\n"], [STREAM + X]],
        None,
        2,
        False,
        id="ids are reset",
    ),
    pytest.param([[STREAM + HURRY + X], [], [STREAM + X]], True, 4, False, id="asked for"),
    pytest.param([[STREAM + HURRY + X1], [STREAM + X]], False, 1, False, id="asked not to"),
]


@pytest.mark.parametrize(("connections", "reconnect", "number", "raises"), POSTS)
def test_post(connections, reconnect, number, raises, *, face, script, server):
    """A POST is repeated when the server can resume, or when the caller says so."""
    url = script(*connections)

    reader = Reader(face, url, method="post", json={"a": "ä"}, reconnect=reconnect)

    requests = server.requests(url)
    assert (reader.error is not None) == raises
    assert len(requests) == number
    assert {request.method for request in requests} == {"POST"}
    assert {request.header("content-type") for request in requests} == {b"application/json"}
    assert all(json.loads(request.body) == {"a": "ä"} for request in requests)


def test_renew(face, script, server):
    """The hook is asked before each reconnect, and what it returns holds from then on."""
    answers = [
        "?b",
        None,
        Target("", {"Authorization": "2"}),
        OSError("token service is down"),
        "?c",
    ]
    url = script(*[[STREAM + HURRY]] * 5)
    targets = []

    def renew(target):
        targets.append(target)
        answer = answers[len(targets) - 1]
        if isinstance(answer, OSError):
            raise answer
        if isinstance(answer, Target):
            return Target(target.url, answer.headers)
        return answer and url + answer

    reader = Reader(
        face,
        url,
        renew=renew,
        headers={"Authorization": "1"},
        reconnect=QUICK,
        close_after=6,
    )

    sent = [
        (request.path, request.header("authorization")) for request in server.requests(url)
    ]
    assert sent == [("s", b"1"), ("s?b", b"1"), ("s?b", b"1"), ("s?b", b"2"), ("s?c", b"2")]
    assert [target.headers["Authorization"] for target in targets] == [
        "1",
        "1",
        "1",
        "2",
        "2",
    ]
    assert str(reader.errors[4]) == "token service is down"
