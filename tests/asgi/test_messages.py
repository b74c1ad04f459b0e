"""The messages of a response."""

from heliograph.asgi.messages import body, refuse, start
from heliograph.faces import Admission, Refusal, stream_headers


def test_head_of_a_stream():
    """What keeps caches and proxies from holding events back."""
    assert start(200, stream_headers(Admission(("a",)))) == {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store, no-transform"),
            (b"x-accel-buffering", b"no"),
            (b"vary", b"Accept-Encoding"),
        ],
    }


async def test_refusal():
    """A whole response: names in lower case, and the length of the bytes."""
    sent = []

    async def send(message):
        sent.append(message)

    await refuse(send, Refusal(405, "größe", (("Allow", "GET, HEAD"),)))

    head, text = sent
    assert (head["status"], head["headers"]) == (
        405,
        [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"8"),
            (b"allow", b"GET, HEAD"),
        ],
    )
    assert text == body("größe\n".encode(), more=False)
