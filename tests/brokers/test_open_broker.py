"""URLs name brokers; a wrong one says what to write."""

import pytest

from heliograph import ConfigError
from heliograph.brokers import inspect_broker, open_broker, register_broker
from heliograph.brokers.memory import MemoryBroker
from heliograph.brokers.sqlite import SqliteBroker


def test_memory():
    """``memory:`` is this process only."""
    assert isinstance(open_broker("memory:"), MemoryBroker)


def test_sqlite(tmp_path):
    """Three slashes before a path, as others write it."""
    assert isinstance(open_broker(f"sqlite:///{tmp_path}/x"), SqliteBroker)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "sqlite",
        "Memory:",
        "http://x",
        "http://[",
        None,
        5,
    ],
)
def test_bad_url(url):
    """The message names the URL and what may be written."""
    with pytest.raises(ConfigError) as caught:
        open_broker(url)

    assert "sqlite:///" in str(caught.value)


def test_passwords_are_not_shown():
    """A URL that is refused does not carry its secret into a log."""
    with pytest.raises(ConfigError) as caught:
        open_broker("amqp://user:secret@host/0")

    assert "secret" not in str(caught.value)
    assert "host" in str(caught.value)


class NotInspectable(MemoryBroker):
    """As a broker of another package that was written for an earlier release."""

    inspect = property()


async def test_a_broker_that_cannot_be_inspected():
    """It can be opened, and the message names the method that it lacks."""
    register_broker("uninspectable", lambda url, retention: NotInspectable(retention))
    assert isinstance(open_broker("uninspectable:"), NotInspectable)

    with pytest.raises(ConfigError, match=r"'uninspectable:'.* lacks the method inspect"):
        inspect_broker("uninspectable:")


async def test_inspecting_memory():
    """Whoever inspects is another process, or has the broker."""
    with pytest.raises(ConfigError, match="name storage that they share"):
        async with inspect_broker("memory:"):
            pass


def test_inspecting_a_bad_url():
    """As for whoever opens it."""
    with pytest.raises(ConfigError, match="no broker for 'amqp:"):
        inspect_broker("amqp://host")
