"""Every face logs in one way what is refused, and what was probably not meant."""

import logging

import pytest

from heliograph.cors import CorsPolicy, CorsRequest, decide
from heliograph.cors.handshake import HandshakePolicy
from heliograph.cors.outcome import Outcome
from heliograph.faces.cors import (
    judge_handshake,
    log_refused_preflight,
    refuses,
    warn_of,
)

A = "https://a.example"
EVIL = "https://evil.example\x1b[31m"
POLICY = CorsPolicy(origins=[A])


@pytest.fixture
def log(caplog):
    """The messages of the logger for CORS."""
    with caplog.at_level(logging.DEBUG, "heliograph.cors"):
        yield lambda: [record.getMessage() for record in caplog.records]


def outcome_of(request):
    return Outcome(POLICY, request, decide(POLICY, request))


ANSWERED = "answered %s '/' without CORS headers, so the page cannot read it: "

# (method, the type of the application's response, the beginning of the line)
LINES = [
    ("GET", "text/event-stream", "refused %s '/': "),
    ("GET", "text/html", ANSWERED),
    ("POST", "text/event-stream", ANSWERED),
]


@pytest.mark.parametrize(("method", "kind", "line"), LINES)
def test_what_was_sent(log, method, kind, line):
    """Only what the application has not answered is called refused."""
    outcome = outcome_of(CorsRequest(method, "/", origin="https://b.example"))
    is_refused = refuses(outcome, {"Content-Type": [kind]}.get)

    (message,) = log()
    assert message.startswith(line % method)
    assert is_refused is ("refused" in line)


@pytest.mark.parametrize(
    ("origin", "fields"), [(A, {}), (EVIL, {"Access-Control-Allow-Origin": ["*"]})]
)
def test_granted(log, origin, fields):
    """Nothing is logged if the policy, or the application itself, lets the page read."""
    fields = {"Content-Type": ["text/event-stream"], **fields}

    assert not refuses(outcome_of(CorsRequest("GET", origin=origin)), fields.get)
    assert log() == []


@pytest.mark.parametrize(("origin", "lines"), [(A, 0), (EVIL, 1)])
def test_preflights(log, origin, lines):
    """A refused preflight is logged; what the client sent is escaped."""
    request = CorsRequest("OPTIONS", "/a\r\nFAKE\x1b", origin=origin, request_method="PUT")
    log_refused_preflight(outcome_of(request))

    messages = log()
    assert len(messages) == lines
    for message in messages:
        assert message.startswith(
            r"refused OPTIONS '/a\r\nFAKE\x1b': 'https://evil.example\x1b[31m'"
        )
        assert message.isprintable()


def test_warnings(log):
    """What was probably not meant is a warning, once in a process."""
    policy = CorsPolicy(origins=[r"https://.*faces\.example", r"https://a\.faces.example"])
    warn_of(policy)
    warn_of(policy)

    assert tuple(log()) == policy.warnings
    assert len(policy.warnings) == 2


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
