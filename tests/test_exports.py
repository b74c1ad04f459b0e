"""The public names are those that the modules say, and each is documented."""

import importlib
import inspect

import pytest

import heliograph

PUBLIC = [
    "heliograph",
    "heliograph.asgi",
    "heliograph.brokers",
    "heliograph.brokers.contract",
    "heliograph.cors",
    "heliograph.flask",
    "heliograph.hub",
    "heliograph.starlette",
]


@pytest.mark.parametrize("module", PUBLIC)
def test_all(module):
    """What ``__all__`` names is there, sorted, and nothing else is public."""
    found = importlib.import_module(module)
    public = {
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and not inspect.ismodule(value)
        and getattr(value, "__module__", "").startswith(module)
    }  # fmt: skip

    assert set(found.__all__) >= public
    for name in found.__all__:
        assert hasattr(found, name)


@pytest.mark.parametrize("module", PUBLIC)
def test_documented(module):
    """Each public name, and each of its public methods, says what the caller gets."""
    found = importlib.import_module(module)
    for name in found.__all__:
        value = getattr(found, name)
        if not callable(value):
            continue
        assert inspect.getdoc(value), name
        for method, function in vars(value).items() if inspect.isclass(value) else ():
            if inspect.isfunction(function) and not method.startswith("_"):
                assert inspect.getdoc(function), f"{name}.{method}"


def test_version():
    """There is one."""
    assert heliograph.__version__
