"""Which tests need a server."""

import itertools
import sys
from types import ModuleType

import pytest

from markers import needs_server

HELPER = """
from servers import serving

def helper():
    pass
"""


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Return a helper module of the tests that starts servers."""
    module = ModuleType("a_helper")
    module.__file__ = __file__
    exec(HELPER, vars(module))
    monkeypatch.setitem(sys.modules, "a_helper", module)
    return module


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param("from servers import serving", True, id="a-function"),
        pytest.param("from redises import RedisServer as R", True, id="a-class-renamed"),
        pytest.param("import proxies", True, id="a-module"),
        pytest.param("from servers import TAKEN_OVER", False, id="a-table"),
        pytest.param("from servers import until", False, id="of-a-module-that-starts-none"),
        pytest.param("from a_helper import helper", True, id="through-a-helper"),
        pytest.param("import heliograph, subprocess, pytest", False, id="none"),
    ],
)
def test_needs_server(helper, program, expected):
    """What is imported decides, not how."""
    namespace = {}
    exec(program, namespace)

    assert needs_server(namespace) is expected


def test_this_run(request):
    """A test that needs a server is marked, and one that needs none is not."""
    marked = {
        item.path.name: item.get_closest_marker("server") is not None
        for item in request.session.items
    }

    assert marked["test_markers.py"] is False
    assert marked.get("test_servers.py", True)
    assert marked.get("redis.md", True)


def test_the_order_of_this_run(request):
    """Groups that need a server come first, and the tests of a group are together."""
    tests = [item for item in request.session.items if item.path.suffix == ".py"]

    needs_server = {}
    for group, items in itertools.groupby(
        tests, key=lambda item: item.get_closest_marker("xdist_group").args[0]
    ):
        assert group not in needs_server
        needs_server[group] = any(item.get_closest_marker("server") for item in items)

    assert [*needs_server.values()] == sorted(needs_server.values(), reverse=True)
