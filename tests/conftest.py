"""Fixtures for all tests."""

import os
import random
import sys

import pytest

import streams

# What a test would download is fetched before, by make: a download in the middle of the tests
# fails at once and always, and not now and then.
os.environ.update(
    PIP_NO_INDEX="1", NPM_CONFIG_OFFLINE="true", GOPROXY="off", UV_OFFLINE="1"
)
# eventlet's resolver imports dnspython, which imports trio if the client's HTTP library and
# trio are there; and trio cannot be imported once eventlet has replaced sockets.
os.environ["EVENTLET_NO_GREENDNS"] = "yes"

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError:
    pass  # the tests that run with the oldest releases need none
else:
    # However busy the machine is.
    settings.register_profile(
        "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
    settings.load_profile("busy")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Run what is exhaustive untraced: most of its time would be that of coverage."""
    if not item.get_closest_marker("exhaustive"):
        return (yield)
    # In this thread alone: Coverage.stop would lose the lines of hubs in others.
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.fixture
def chance():
    """
    Return a source of random numbers. Its seed is shown if the test fails.

    ``--randomly-seed`` with the seed that pytest prints at its start repeats the run.
    """
    seed = random.randrange(2**32)
    print(f"chance = random.Random({seed})")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def _clients_are_closed():
    yield
    while streams.connections:
        streams.connections.pop().close()


@pytest.fixture(autouse=True, scope="session")
def _servers_are_ended():
    yield
    # Imported here it would have to be installed for tests that need no Redis.
    redises = sys.modules.get("redises")
    for process in redises.processes if redises else ():
        if process.poll() is None:
            process.kill()
            process.wait()
