"""Errors carry their facts, and are what callers of the built-in ones expect."""

import ast
import inspect

import pytest

import heliograph
from heliograph import errors


def test_tree_is_drawn():
    """The docstring draws every error of the module."""
    drawn = errors.__doc__

    for name in errors.__all__:
        assert name in drawn


@pytest.mark.parametrize("name", errors.__all__)
def test_exported(name):
    """Whoever catches an error finds it at the top."""
    assert getattr(heliograph, name) is getattr(errors, name)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.ConfigError(["a", "b"]), "a\nb"),
        (errors.CorsConfigError(["origins: x"]), "origins: x"),
        (errors.InvalidFieldError("id", 5, "no"), "invalid id 5: no"),
        (errors.InvalidFieldError("data", list(range(99)), "no"), "…: no"),
        (errors.InvalidStreamIdError("x"), "'x'"),
        (errors.EventTooLargeError(7), "7 bytes"),
        (errors.BrokerUnavailableError("/f", "full"), "/f: full"),
        (errors.TooManySubscribersError(3, None, 1), "this process has its 3"),
        (errors.TooManySubscribersError(3, "a", 1), "channel 'a' has its 3"),
        (
            errors.TooManySubscribersError(3, None, 1, address="::1"),
            "address ::1 has its 3",
        ),
    ],
)
def test_messages(error, text):
    """A message names what is wrong."""
    assert text in str(error)


def test_all_is_complete():
    """Nothing public is left out of ``__all__``."""
    tree = ast.parse(inspect.getsource(errors))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}

    assert classes == set(errors.__all__)
