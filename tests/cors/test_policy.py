"""A policy is validated whole, and cannot be built open by accident."""

import dataclasses
import inspect
import re

import pytest

from heliograph import ConfigError, CorsConfigError
from heliograph.cors import CorsPolicy
from heliograph.cors.policy import DEFAULT_METHODS, OPTIONS

ORIGIN = "https://app.example"

# (options, words of the problem). Add a row, not a test.
MISTAKES = [
    ({"origins": "app.example"}, ["origins: 'app.example'", "https://app.example"]),
    ({"origin": ORIGIN}, ["origin is no option of CORS; did you mean origins?"]),
    ({"max_age_seconds": 5}, ["did you mean max_age?"]),
    ({"methods": "post"}, ["methods: 'post'", "write 'POST'"]),
    ({"methods": "GET, POST"}, ["methods: 'GET, POST'", "a list"]),
    ({"methods": ["GET POST"]}, ["methods: 'GET POST'", "no token"]),
    ({"methods": ["P(ST"]}, ["methods: 'P(ST'"]),
    ({"methods": [""]}, ["methods: ''"]),
    ({"methods": ["G*T"]}, ["methods: 'G*T'"]),
    ({"methods": [5]}, ["methods: 5 is no string"]),
    ({"methods": None}, ["methods: None", "a list"]),
    ({"methods": b"GET"}, ["methods: b'GET'"]),
    ({"allow_headers": ["X Y"]}, ["allow_headers: 'X Y'", "no token"]),
    ({"allow_headers": ["X-\u00e4"]}, ["allow_headers"]),
    ({"allow_headers": ["(x+)+"]}, ["allow_headers: '(x+)+'", "exponential"]),
    ({"allow_headers": ["("]}, ["allow_headers: '('"]),
    ({"allow_headers": [5]}, ["allow_headers: 5 is no string"]),
    ({"allow_headers": None}, ["allow_headers: None"]),
    ({"expose_headers": "X-A, X-B"}, ["expose_headers: 'X-A, X-B'", "a list"]),
    ({"expose_headers": ["X-A\r\n"]}, ["expose_headers: 'X-A\\r\\n'"]),
    ({"max_age": -1}, ["max_age: -1", "between 0"]),
    ({"max_age": 1.5}, ["max_age: 1.5", "600"]),
    ({"max_age": "600"}, ["max_age: '600'"]),
    ({"max_age": True}, ["max_age: True"]),
    ({"max_age": 10**12}, ["max_age: 1000000000000"]),
    ({"supports_credentials": "false"}, ["supports_credentials: 'false' is neither"]),
    ({"supports_credentials": None}, ["supports_credentials: None"]),
    ({"vary_header": 1}, ["vary_header: 1"]),
    ({"allow_private_network": "yes"}, ["allow_private_network"]),
    ({"send_wildcard": 0}, ["send_wildcard"]),
    ({"always_send": 0}, ["always_send"]),
    ({"dangerously_allow_any_origin_with_credentials": 1}, ["dangerously"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"), MISTAKES, ids=lambda value: ascii(value)[:60]
)
def test_mistakes(options, words):
    """Each names the option, the value and what to write instead."""
    with pytest.raises(CorsConfigError) as caught:
        CorsPolicy(**{"origins": ORIGIN, **options})

    (problem,) = caught.value.problems
    for word in words:
        assert word in problem


# Each lets in whom nobody meant to let in.
HOLES = [
    "*",
    ".*",
    ["https://app.example", "*"],
    "null",
    [ORIGIN, "null"],
    "https?://.*",
    r"https://app\.example.*",
    re.compile(r"https://app\.[a-z]+"),
    re.compile(".+"),
]


@pytest.mark.parametrize("origins", HOLES, ids=repr)
def test_holes(origins):
    """With credentials they cannot be built, except by a name that says the danger."""
    with pytest.raises(CorsConfigError, match="with supports_credentials") as caught:
        CorsPolicy(origins=origins, supports_credentials=True)

    hatch = "dangerously_allow_any_origin_with_credentials"
    assert f"{hatch}=True" in str(caught.value)
    CorsPolicy(origins=origins, supports_credentials=True, **{hatch: True})
    CorsPolicy(origins=origins)


def test_exposing_everything_with_credentials():
    """Browsers would take the star for a name; no name says that it is dangerous."""
    with pytest.raises(CorsConfigError, match="expose_headers: with supports_credentials"):
        CorsPolicy(
            origins="*",
            expose_headers="*",
            supports_credentials=True,
            dangerously_allow_any_origin_with_credentials=True,
        )
    CorsPolicy(origins="*", expose_headers="*")


def test_all_mistakes_at_once():
    """Whoever mends one after the other has to start the program as often."""
    with pytest.raises(CorsConfigError) as caught:
        CorsPolicy(
            origins=["a.example", "*", 5],
            methods=["get"],
            allow_headers=["X Y"],
            expose_headers=[""],
            supports_credentials=True,
            max_age=-1,
            vary_header="no",
            orgins="",
        )

    assert len(caught.value.problems) == 9
    assert isinstance(caught.value, ConfigError)
    assert isinstance(caught.value, ValueError)


def test_origins_have_no_default():
    """Who may is the one thing that nobody else can know."""
    with pytest.raises(TypeError, match="origins"):
        CorsPolicy()
    with pytest.raises(TypeError):
        CorsPolicy(ORIGIN)


def test_frozen():
    """A policy is a value: it cannot change, and neither can what it was made of."""
    origins = [ORIGIN]
    policy = CorsPolicy(origins=origins, max_age=5)
    origins.append("https://evil.example")

    assert policy.origins == (ORIGIN,)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.max_age = 6
    assert policy == CorsPolicy(origins=ORIGIN, max_age=5)
    assert hash(policy) == hash(CorsPolicy(origins=[ORIGIN], max_age=5))
    assert policy != CorsPolicy(origins=ORIGIN, max_age=6)
    assert "compiled" not in repr(policy)
    assert "max_age=5" in repr(policy)


def test_sets_have_an_order():
    """Two processes that are told the same send the same."""
    policy = CorsPolicy(
        origins={"https://b.example", ORIGIN},
        expose_headers={"X-B", "X-A"},
        methods={"PUT", "GET"},
    )

    assert policy.origins == (ORIGIN, "https://b.example")
    assert policy.expose_headers == ("X-A", "X-B")
    assert policy.methods == ("GET", "PUT")


def test_options_are_those_of_the_constructor():
    """What is checked, listed and documented is the same."""
    parameters = list(inspect.signature(CorsPolicy).parameters)

    assert parameters == [*OPTIONS, "unknown"]
    for name in OPTIONS:
        assert f"\n    {name}: " in inspect.getdoc(CorsPolicy)
    assert CorsPolicy(origins=ORIGIN).methods == DEFAULT_METHODS
