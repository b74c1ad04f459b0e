"""Errors carry their facts as attributes, and inherit from the built-in ones."""

import ast
import dataclasses
import inspect

import pytest

import heliograph
from heliograph import errors


def drawn_tree():
    """The tree of the module's docstring: class -> (parent, other bases)."""
    drawing = errors.__doc__.partition("::\n")[2].partition("\n\nThe facts")[0]
    tree, path = {}, []
    for line in filter(None, map(str.rstrip, drawing.splitlines())):
        name = line.lstrip(" │├└─").split()[0]
        depth = (line.index(name) - 4) // 4
        path[depth:] = [name]
        others = line.partition(f"{name} (")[2].partition(")")[0]
        tree[name] = (path[depth - 1] if depth else "Exception", others)
    return tree


def test_tree_is_drawn():
    """The docstring draws every error below its base class, with the built-in one."""
    tree = {
        name: [base.__name__ for base in getattr(errors, name).__bases__]
        for name in errors.__all__
    }

    assert {
        name: [parent, *filter(None, [other])]
        for name, (parent, other) in drawn_tree().items()
    } == tree


@pytest.mark.parametrize("name", errors.__all__)
def test_exported(name):
    """Every error can be imported from the package itself."""
    assert getattr(heliograph, name) is getattr(errors, name)


FULL = errors.TooManySubscribersError

# (error, its whole message)
MESSAGES = [
    (errors.ConfigError(["a", "b"]), "a\nb"),
    (errors.CorsConfigError(["origins: x"]), "origins: x"),
    (errors.InvalidFieldError("id", 5, "no"), "invalid id 5: no"),
    (
        errors.InvalidFieldError("data", list(range(99)), "no"),
        "invalid data [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 2…: no",
    ),
    (
        errors.InvalidFieldError("data", b"x" * 81, "no"),
        f"invalid data b'{'x' * 80}'… (81 long): no",
    ),
    (
        errors.InvalidStreamIdError("x"),
        "invalid Last-Event-ID 'x': must be an id that a stream of these channels has sent",
    ),
    (
        errors.EventTooLargeError(9, 7, "set x to 9"),
        "event of 9 bytes is larger than 7 bytes: set x to 9",
    ),
    (errors.BrokerUnavailableError("/f", "full"), "/f: full"),
    (
        FULL(3, None, 1),
        "this process has its 3 subscribers already; max_subscribers sets the limit",
    ),
    (
        FULL(3, None, 1, setting="ulimit -n"),
        "this process has its 3 subscribers already; ulimit -n sets the limit",
    ),
    (
        FULL(3, None, 1, what="channels"),
        "this process has its 3 channels already; max_channels sets the limit",
    ),
    (
        FULL(3, "a", 1),
        "channel 'a' has its 3 subscribers already; max_subscribers_per_channel sets the limit",
    ),
    (
        FULL(3, None, 1, address="::1"),
        "the address ::1 has its 3 subscribers already; max_subscribers_per_address sets the limit",
    ),
    (
        FULL(3, None, 1, address="::1", what="channels"),
        "the address ::1 has its 3 channels already; max_channels_per_address sets the limit",
    ),
]


@pytest.mark.parametrize(
    "error",
    [
        FULL(1, channel, 1, address=address, what=what)
        for channel, address, what in [
            (None, None, "subscribers"),
            (None, None, "channels"),
            ("a", None, "subscribers"),
            (None, "::1", "subscribers"),
            (None, "::1", "channels"),
        ]
    ],
)
def test_the_setting_of_a_cap_exists(error):
    """What the message names can be set."""
    assert error.setting in {
        field.name for field in dataclasses.fields(heliograph.HubConfig)
    }


@pytest.mark.parametrize(("error", "text"), MESSAGES)
def test_messages(error, text):
    """A message names the value and the rule, and does not flood a log."""
    assert str(error) == text


# (error, attributes that callers may read)
FACTS = [
    (errors.ConfigError(iter(["a", "b"])), {"problems": ("a", "b")}),
    (
        errors.InvalidFieldError("data", "x" * 999, "no"),
        {"field": "data", "value": "x" * 999, "reason": "no"},
    ),
    (errors.InvalidStreamIdError("x" * 999), {"value": "x" * 999}),
    (
        errors.EventTooLargeError(9, 7, "no"),
        {"size_bytes": 9, "limit_bytes": 7, "remedy": "no"},
    ),
    (errors.BrokerUnavailableError("/f", "full"), {"resource": "/f", "reason": "full"}),
    (
        FULL(3, "a", 5),
        {
            "limit": 3,
            "channel": "a",
            "retry_after_seconds": 5,
            "address": None,
            "what": "subscribers",
            "status": 503,
        },
    ),
    (
        FULL(3, None, 5, address="::1", what="channels"),
        {"channel": None, "address": "::1", "what": "channels", "status": 429},
    ),
    (FULL(3, None, 5), {"channel": None, "address": None, "status": 503}),
]


@pytest.mark.parametrize(("error", "facts"), FACTS)
def test_facts(error, facts):
    """The facts of an error are attributes, whole."""
    assert {name: getattr(error, name) for name in facts} == facts


def test_all_is_complete():
    """Nothing public is missing in ``__all__``."""
    tree = ast.parse(inspect.getsource(errors))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}

    assert classes == set(errors.__all__)
