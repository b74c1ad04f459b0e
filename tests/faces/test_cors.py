"""Every face decides in one way, and logs what is refused."""

import logging

import pytest

from heliograph.cors import CorsPolicy, CorsRequest, decide, decide_async
from heliograph.cors.handshake import HandshakePolicy
from heliograph.faces.cors import judge, judge_handshake, judged

A = "https://a.example"
EVIL = "https://evil.example\x1b[31m"
POLICY = CorsPolicy(origins=[A])


@pytest.fixture
def log(caplog):
    """The messages of the logger for CORS."""
    with caplog.at_level(logging.DEBUG, "heliograph.cors"):
        yield lambda: [record.getMessage() for record in caplog.records]


async def outcome_of(request, *, is_async):
    if is_async:
        return judged(POLICY, request, await decide_async(POLICY, request))
    return judge(POLICY, request)


@pytest.mark.parametrize("is_async", [False, True])
async def test_refused(log, is_async):
    """The outcome holds what led to it; what the client sent is logged escaped."""
    request = CorsRequest("GET", "/a\r\nFAKE\x1b", origin=EVIL)
    outcome = await outcome_of(request, is_async=is_async)

    assert outcome == (POLICY, request, decide(POLICY, request))
    (message,) = log()
    assert message.startswith(
        r"refused GET '/a\r\nFAKE\x1b': 'https://evil.example\x1b[31m'"
    )
    assert message.isprintable()


@pytest.mark.parametrize("is_async", [False, True])
async def test_granted(log, is_async):
    """Nothing is logged."""
    request = CorsRequest("GET", origin=A)
    outcome = await outcome_of(request, is_async=is_async)

    assert outcome.decision.reason is None
    assert log() == []


@pytest.mark.parametrize(("origin", "is_allowed"), [(A, True), (EVIL, False)])
async def test_handshakes(log, origin, is_allowed):
    """A handshake is allowed or not, and a refusal is logged as one of a WebSocket."""
    reason = await judge_handshake(
        HandshakePolicy(POLICY),
        CorsRequest("GET", "/\n", origin=origin),
        scheme="ws",
        has_credentials=False,
    )

    assert (reason is None) is is_allowed
    messages = log()
    assert len(messages) == (0 if is_allowed else 1)
    assert all(m.startswith(r"refused a WebSocket at '/\n': ") for m in messages)
