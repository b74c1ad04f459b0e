"""Responses to clients that get no stream."""

import pytest

from heliograph import HubClosedError, TooManySubscribersError
from heliograph.faces.refusal import Refusal, refusal_of, unavailable


def test_whole_response():
    """The body is one line, and its length is that of the bytes."""
    refusal = Refusal(400, "größe", (("X-A", "b"),))

    assert refusal.body == "größe\n".encode()
    assert refusal.all_headers == (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", "8"),
        ("X-A", "b"),
    )


@pytest.mark.parametrize(
    ("error", "status", "seconds", "words"),
    [
        (TooManySubscribersError(3, "a", 7), 503, "7", "channel 'a' has its 3"),
        (TooManySubscribersError(3, None, 0), 503, "0", "this process has its 3"),
        (
            TooManySubscribersError(3, None, 9, address="192.0.2.1", what="channels"),
            429,
            "9",
            "the address 192.0.2.1 has its 3 channels",
        ),
        (HubClosedError("the hub has been closed"), 503, "1", "has been closed"),
    ],
)
def test_errors_of_a_hub(error, status, seconds, words):
    """The client is told why, and when to try again."""
    refusal = refusal_of(error)

    assert (refusal.status, refusal.headers) == (status, (("Retry-After", seconds),))
    assert words in refusal.text


def test_unavailable():
    """A face may refuse for reasons of its own: 503, and soon again."""
    assert unavailable("not now") == Refusal(503, "not now", (("Retry-After", "1"),))
