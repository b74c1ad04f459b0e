"""A policy is validated whole, and cannot be unsafe by accident."""

import dataclasses
import inspect
import re

import pytest

from heliograph import ConfigError, CorsConfigError
from heliograph.cors import CorsPolicy
from heliograph.cors.names import DEFAULT_METHODS
from heliograph.cors.policy import OPTIONS

ORIGIN = "https://app.example"

# (options, words of the problem). Add a row, not a test.
MISTAKES = [
    ({"origins": "app.example"}, ["origins: 'app.example'", "https://app.example"]),
    ({"origin": ORIGIN}, ["origin is not a CORS option; did you mean origins?"]),
    ({"cookies": True}, ["cookies is not a CORS option; see", "the page cors.md"]),
    ({"max_age_seconds": 5}, ["did you mean max_age?"]),
    ({"methods": "post"}, ["methods: 'post'", "write 'POST'"]),
    ({"allow_headers": ["X Y"]}, ["allow_headers: 'X Y'"]),
    ({"expose_headers": "X-A, X-B"}, ["expose_headers: 'X-A, X-B'"]),
    ({"max_age": -1}, ["max_age: -1", "between 0"]),
    ({"max_age": 1.5}, ["max_age: 1.5", "600"]),
    ({"max_age": "600"}, ["max_age: '600'"]),
    ({"max_age": True}, ["max_age: True"]),
    ({"max_age": 10**12}, ["max_age: 1000000000000"]),
    ({"supports_credentials": "false"}, ["supports_credentials: 'false' is a string"]),
    ({"supports_credentials": None}, ["supports_credentials: None is neither"]),
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
    """Each mistake names the option, the value and what to write instead."""
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
    """With credentials, these need the option whose name says that it is dangerous."""
    with pytest.raises(CorsConfigError, match="with supports_credentials") as caught:
        CorsPolicy(origins=origins, supports_credentials=True)

    hatch = "dangerously_allow_any_origin_with_credentials"
    assert f"{hatch}=True" in str(caught.value)
    CorsPolicy(origins=origins, supports_credentials=True, **{hatch: True})
    CorsPolicy(origins=origins)


def test_exposing_everything_with_credentials():
    """Browsers read the star as a name then; no option permits it."""
    with pytest.raises(CorsConfigError, match="expose_headers: with supports_credentials"):
        CorsPolicy(
            origins="*",
            expose_headers="*",
            supports_credentials=True,
            dangerously_allow_any_origin_with_credentials=True,
        )
    CorsPolicy(origins="*", expose_headers="*")


def test_all_mistakes_at_once():
    """All mistakes are reported at once."""
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
    """The option origins must be given, by name."""
    with pytest.raises(TypeError, match="origins"):
        CorsPolicy()
    with pytest.raises(TypeError):
        CorsPolicy(ORIGIN)


def test_frozen():
    """A policy is a value, and does not change with the list that it was built from."""
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
    """Sets are sorted, so that every process sends the same."""
    policy = CorsPolicy(
        origins={"https://b.example", ORIGIN},
        expose_headers={"X-B", "X-A"},
        methods={"PUT", "GET"},
    )

    assert policy.origins == (ORIGIN, "https://b.example")
    assert policy.expose_headers == ("X-A", "X-B")
    assert policy.methods == ("GET", "PUT")


def test_options_are_those_of_the_constructor():
    """Options are checked, listed and documented alike."""
    parameters = list(inspect.signature(CorsPolicy).parameters)

    assert parameters == [*OPTIONS, "unknown"]
    for name in OPTIONS:
        assert f"\n    {name}: " in inspect.getdoc(CorsPolicy)
    assert CorsPolicy(origins=ORIGIN).methods == DEFAULT_METHODS
