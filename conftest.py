"""Runs the examples of the README and the documentation as tests."""

import collections
import itertools
import os
import shutil
import sys
import tempfile
import types

import pytest
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.sybil import SybilCollection

from flask import Flask
from markers import needs_server


def _named(namespace):
    namespace["__file__"] = "example.py"
    # Flask looks for the folder of the module that it is told.
    namespace["__name__"] = "example"
    # Litestar looks among the names of the module of a function.
    sys.modules.setdefault("example", types.ModuleType("example"))


def _close(namespace):
    for value in namespace.values():
        if isinstance(value, Flask) and "heliograph" in value.extensions:
            value.extensions["heliograph"].hub.close()


def _with_redis(namespace):
    from redises import RedisServer

    _named(namespace)
    folder = tempfile.mkdtemp()
    server = namespace["_server"] = RedisServer(folder)
    os.environ["REDIS_URL"] = server.url


def _without_redis(namespace):
    _close(namespace)
    del os.environ["REDIS_URL"]
    namespace["_server"].kill()
    shutil.rmtree(namespace["_server"].folder)


def _with_stream(namespace):
    """A real server, with a channel that has three events and has ended."""
    import threading

    from werkzeug.serving import make_server

    from heliograph.flask import SSE

    _named(namespace)
    app = Flask("example")
    app.config.update(SSE_URL="memory:", SSE_RETRY_MS=20)
    sse = SSE(app)
    for n in range(3):
        sse.publish({"n": n}, channel="news")
    sse.end("news")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever).start()
    namespace["stream"] = f"http://127.0.0.1:{server.port}/stream?channel=news&start=10"
    namespace["_server"] = server
    namespace["_app"] = app


def _without_stream(namespace):
    namespace["_server"].shutdown()
    namespace["_server"].server_close()
    _close(namespace)


_CLIENT = "docs/client.md"
_NEEDS_REDIS = "docs/redis.md"
# Its code is part of the clients that tests/clients runs.
_CLIENTS = "docs/clients.md"
# Its files are run by tests/e2e/test_start.py.
_START = "docs/start.md"
_pages = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=[_NEEDS_REDIS, _CLIENT, _CLIENTS, _START],
    setup=_named,
    teardown=_close,
)
_redis_page = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=[_NEEDS_REDIS],
    setup=_with_redis,
    teardown=_without_redis,
)
_client_page = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=[_CLIENT],
    setup=_with_stream,
    teardown=_without_stream,
)
pytest_collect_file = SybilCollection([_pages, _redis_page, _client_page]).pytest()


def pytest_make_parametrize_id(val):
    """What is long has a short name: a server that a test starts finds it in its environment."""
    if isinstance(val, str | bytes) and len(val) > 80:
        return f"{val[:40]!r}...{len(val)}"
    return None


# By these names tests are told with which server they run.
_SERVERS = ("server", "own_server", "name")


def pytest_itemcollected(item):
    """What shares fixtures stays in one process: a module; of servers, the tests of one."""
    group = str(item.path.relative_to(item.config.rootpath))
    if item.path.parent.name == "e2e" and hasattr(item, "callspec"):
        parameters = item.callspec.params
        group += "".join(str(parameters.get(name, "")) for name in _SERVERS)
    item.add_marker(pytest.mark.xdist_group(group))
    if _needs_server(item):
        item.add_marker(pytest.mark.server)


def _needs_server(item):
    if isinstance(item, SybilItem):
        root = item.config.rootpath
        return item.path in {root / _NEEDS_REDIS, root / _CLIENT}
    definitions = itertools.chain(*item._fixtureinfo.name2fixturedefs.values())
    namespaces = [vars(item.module), *(one.func.__globals__ for one in definitions)]
    for namespace in namespaces:
        if id(namespace) not in _known:
            _known[id(namespace)] = needs_server(namespace)
    return any(_known[id(namespace)] for namespace in namespaces)


# By the identity of a module's namespace, whether it needs a server.
_known = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """
    Put the groups that take long first, so that no process is left alone with one at the end.

    Those with a test that needs a server come before the others, and of each the larger before
    the smaller: a test counts by its time-out, if it has one of its own. Groups of the same
    size stay in the order that pytest-randomly has chosen. Examples of a page build on each
    other: they stay in theirs.
    """
    examples = [item for item in items if isinstance(item, SybilItem)]
    tests = [item for item in items if not isinstance(item, SybilItem)]
    examples.sort(key=lambda item: (str(item.path), item.example.line))
    sizes = collections.Counter()
    for item in tests:
        timeout = item.get_closest_marker("timeout")
        sizes[_group(item)] += timeout.args[0] / 10 if timeout else 1
    ranks = {group: rank for rank, group in enumerate(sizes)}
    with_server = {_group(item) for item in tests if item.get_closest_marker("server")}

    def rank(item):
        group = _group(item)
        return group not in with_server, -sizes[group], ranks[group]

    tests.sort(key=rank)
    items[:] = tests + examples


def _group(item):
    return item.get_closest_marker("xdist_group").args[0]
