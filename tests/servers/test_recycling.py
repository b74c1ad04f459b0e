"""How many requests the server in this process allows it, as far as that can be seen."""

import signal
import sys
from types import SimpleNamespace

import pytest
import uvicorn
from gunicorn.workers.sync import SyncWorker

from heliograph.servers.interface import RequestLimit
from heliograph.servers.recycling import recycled_after, request_limit


@pytest.fixture
def handled_by():
    """Let something handle the signal to end, for as long as the test lasts."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda handler: signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGTERM, before)


def worker_of_gunicorn(limit, number):
    worker = object.__new__(SyncWorker)
    worker.max_requests, worker.nr = limit, number
    return worker


def server_of_uvicorn(limit, number):
    server = uvicorn.Server(uvicorn.Config(None, limit_max_requests=limit))
    server.servers = []
    server.server_state.total_requests = number
    return server


LIMITS = [
    pytest.param(worker_of_gunicorn, "--max-requests", id="gunicorn"),
    pytest.param(server_of_uvicorn, "--limit-max-requests", id="uvicorn"),
]


@pytest.mark.parametrize(("make", "option"), LIMITS)
@pytest.mark.parametrize(("number", "is_reached"), [(0, False), (9, False), (10, True)])
def test_limits(handled_by, make, option, number, is_reached):
    """A process that has had as many requests is replaced for that reason."""
    handled_by(make(10, number).handle_exit)

    assert request_limit() == RequestLimit(10, option, is_reached)
    assert recycled_after() == (10 if is_reached else None)


NO_LIMITS = [
    pytest.param(lambda: worker_of_gunicorn(sys.maxsize, 10), id="gunicorn"),
    pytest.param(lambda: worker_of_gunicorn(None, 10), id="a-gunicorn-that-differs"),
    pytest.param(lambda: worker_of_gunicorn(10, None), id="another-one"),
    pytest.param(lambda: server_of_uvicorn(None, 10), id="uvicorn"),
    pytest.param(lambda: server_of_uvicorn(sys.maxsize, 10), id="uvicorn-in-gunicorn"),
    pytest.param(lambda: server_of_uvicorn(10, None), id="a-uvicorn-that-differs"),
    pytest.param(lambda: SimpleNamespace(handle_exit=signal.SIG_DFL), id="no-server"),
]


@pytest.mark.parametrize("make", NO_LIMITS)
def test_no_limits(handled_by, make):
    """Nothing is known of one."""
    handled_by(make().handle_exit)

    assert request_limit() is None
    assert recycled_after() is None


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        ({"max-requests": b"10"}, 10),
        ({"max-requests": b"0"}, None),
        ({"master": True}, None),
    ],
)
def test_uwsgi(monkeypatch, options, requests):
    """It has a limit, and does not report that the limit is reached."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))

    limit = request_limit()

    assert limit == (requests and RequestLimit(requests, "--max-requests", False))
    assert recycled_after() is None
