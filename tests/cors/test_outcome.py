"""What a decision does to a response that has fields of its own."""

import pytest

from heliograph.cors import CorsPolicy, CorsRequest, decide
from heliograph.cors.outcome import Answer, Outcome

A = "https://a.example"
B = "https://b.example"
EVIL = "https://evil.example"
ORIGIN = "Access-Control-Allow-Origin"
CREDENTIALS = "Access-Control-Allow-Credentials"
EXPOSE = "Access-Control-Expose-Headers"
VARY = ("Vary", "Origin")
ECHO = {"origins": "*", "send_wildcard": False}


def outcome(origin=A, method="GET", request_method=None, **options):
    policy = CorsPolicy(**{"origins": [A, B], **options})
    request = CorsRequest(method, origin=origin, request_method=request_method)
    return Outcome(policy, request, decide(policy, request))


def having(*fields):
    """The fields of a response, as a face shows them."""
    return lambda wanted: [v for n, v in fields if n.lower() == wanted.lower()]


# (options, origin, the response's own fields, the fields to add). Add a row, not a test.
FIELDS = [
    pytest.param({}, A, [], ((ORIGIN, A), VARY), id="granted"),
    pytest.param({}, EVIL, [], (VARY,), id="refused"),
    pytest.param({}, None, [], (VARY,), id="no-origin"),
    pytest.param({"origins": A}, A, [], ((ORIGIN, A),), id="the-same-for-all"),
    pytest.param(
        {"supports_credentials": True, "expose_headers": "X-A"}, A, [],
        ((ORIGIN, A), (CREDENTIALS, "true"), (EXPOSE, "X-A"), VARY), id="everything",
    ),
    # What the application has said of the origin stands, and nothing is added to it.
    pytest.param({}, A, [(ORIGIN, B)], (), id="own-origin"),
    pytest.param({}, A, [(ORIGIN.lower(), "*")], (), id="own-origin-in-lower-case"),
    pytest.param({}, A, [(ORIGIN, "")], (), id="own-origin-is-empty"),
    pytest.param({}, EVIL, [(ORIGIN, EVIL)], (), id="own-origin-where-refused"),
    pytest.param({"supports_credentials": True}, A, [(ORIGIN, A)], (), id="own-origin-no-credentials"),
    # Only what is missing in Vary is added.
    pytest.param({}, A, [("Vary", "Cookie")], ((ORIGIN, A), VARY), id="vary-of-others"),
    pytest.param({}, A, [("vary", "origin, Cookie")], ((ORIGIN, A),), id="vary-is-there"),
    pytest.param({}, A, [("Vary", "Cookie"), ("Vary", "Origin")], ((ORIGIN, A),), id="vary-in-two-fields"),
    pytest.param({}, A, [("Vary", "*")], ((ORIGIN, A),), id="vary-star"),
    pytest.param({}, EVIL, [("Vary", "ORIGIN")], (), id="refused-and-vary-is-there"),
    # An echo would give everyone the credentials that the application allows.
    pytest.param(ECHO, EVIL, [], ((ORIGIN, EVIL), VARY), id="echo"),
    pytest.param(ECHO, EVIL, [(CREDENTIALS, "true")], ((ORIGIN, "*"), VARY), id="echo-with-own-credentials"),
    pytest.param(ECHO, None, [(CREDENTIALS.lower(), "true")], ((ORIGIN, "*"), VARY), id="nobody-with-own-credentials"),
    pytest.param({}, A, [(CREDENTIALS, "true")], ((ORIGIN, A), VARY), id="named-with-own-credentials"),
    pytest.param({"origins": r"https://[a-z]\.example"}, A, [(CREDENTIALS, "true")], ((ORIGIN, "*"), VARY), id="matched-with-own-credentials"),
    pytest.param({"origins": [lambda *_: True]}, A, [(CREDENTIALS, "true")], ((ORIGIN, "*"), VARY), id="asked-with-own-credentials"),
    pytest.param(
        {**ECHO, "supports_credentials": True, "dangerously_allow_any_origin_with_credentials": True},
        EVIL, [(CREDENTIALS, "true")], ((ORIGIN, EVIL), (CREDENTIALS, "true"), VARY), id="danger",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "origin", "own", "added"), FIELDS)
def test_fields(options, origin, own, added):
    """The decision's fields, as far as the response leaves room for them."""
    assert outcome(origin, **options).fields(having(*own)) == added


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_refused_preflight_that_the_application_answers(method):
    """Its status is not ours: nothing in it may look like a grant."""
    refused = outcome(A, "OPTIONS", method, methods="GET")

    ((name, value),) = refused.fields(having())
    assert (name, value.split(", ")[0]) == ("Vary", "Origin")


STREAM = [("Content-Type", "text/event-stream")]

# (origin, method, the response's own fields, whether it is refused)
STREAMS = [
    pytest.param(EVIL, "GET", STREAM, True, id="refused"),
    pytest.param(EVIL, "GET", [("content-type", "Text/Event-Stream ; charset=utf-8")], True, id="parameters"),
    pytest.param("null", "GET", STREAM, True, id="null"),
    pytest.param(A, "GET", STREAM, False, id="granted"),
    pytest.param(None, "GET", STREAM, False, id="no-origin"),
    pytest.param(EVIL, "POST", STREAM, False, id="post-has-an-origin-on-own-pages"),
    pytest.param(EVIL, "HEAD", STREAM, False, id="head-has-no-body"),
    pytest.param(EVIL, "GET", [("Content-Type", "text/html")], False, id="no-stream"),
    pytest.param(EVIL, "GET", [("Content-Type", "text/event-streams")], False, id="another-type"),
    pytest.param(EVIL, "GET", [], False, id="no-type"),
]  # fmt: skip


@pytest.mark.parametrize(("origin", "method", "own", "is_refused"), STREAMS)
def test_streams(origin, method, own, is_refused):
    """A stream is refused if its page could not read it."""
    assert outcome(origin, method).refuses_stream(having(*own)) is is_refused


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        pytest.param(
            outcome(A, "OPTIONS", "PUT", methods="PUT", vary_header=False),
            Answer(204, "", ((ORIGIN, A), ("Access-Control-Allow-Methods", "PUT"))),
            id="granted-preflight",
        ),
        pytest.param(
            outcome(EVIL, "OPTIONS", "PUT", vary_header=False),
            Answer(403, f"the policy's origins do not allow '{EVIL}'\n", ()),
            id="refused-preflight",
        ),
        pytest.param(
            outcome(A, "OPTIONS", "PATCH", methods="PUT", vary_header=False),
            Answer(
                200,
                "the policy's methods do not allow 'PATCH'\n",
                ((ORIGIN, A), ("Access-Control-Allow-Methods", "PUT")),
            ),
            id="preflight-refused-by-the-browser",
        ),
        pytest.param(
            outcome("x"),
            Answer(403, "'x' is not an origin\n", (VARY,)),
            id="refused-stream",
        ),
    ],
)
def test_answers(asked, answer):
    """An answer without application has a status, a text or none, and fields."""
    assert asked.answer() == answer
