"""Publishing from any program; what the verbs do is in test_verbs."""

import logging

import pytest

from heliograph import AsyncPublisher, ConfigError, Publisher
from programs import run

BOTH = pytest.mark.parametrize("kind", [Publisher, AsyncPublisher])


@BOTH
def test_wrong_arguments(kind):
    """All are named at once, before anything is opened."""
    with pytest.raises(ConfigError) as caught:
        kind("memory:", config={"retry_ms": 5}, dumps="json")

    assert caught.value.problems == (
        "config must be a HubConfig, not {'retry_ms': 5}",
        "dumps must be a function, not 'json'",
    )
    with pytest.raises(ConfigError, match="no broker for 'file:///x'"):
        kind("file:///x")


def test_a_relative_file(tmp_path, monkeypatch, caplog):
    """A worker in another folder would have another file, so its path is in a warning."""
    monkeypatch.chdir(tmp_path)
    with Publisher("sqlite:///worker.db") as publisher:
        publisher.publish("x")

    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert f"is the file {tmp_path}/worker.db, below the current folder" in record.message


def test_a_block_closes_and_reopens(tmp_path):
    """What was published is there, and the publisher can be used again."""
    publisher = Publisher(f"sqlite:///{tmp_path}/log")
    for n in range(3):
        with publisher:
            publisher.publish(str(n))

    assert [event.data for event in publisher.history("sse")] == ["0", "1", "2"]
    publisher.close()
    publisher.close()


def test_forks_threads_and_signals(tmp_path):
    """One publisher for the parent, its children, their threads and a handler."""
    out = run(
        """
        import os, signal, sys, threading
        from heliograph import Publisher

        publisher = Publisher(sys.argv[1])
        publisher.publish("parent")
        child = os.fork()
        if not child:
            thread = threading.Thread(target=publisher.publish, args=("thread",))
            thread.start()
            thread.join()
            publisher.publish("child")
            publisher.close()
            os._exit(0)
        os.waitpid(child, 0)
        signal.signal(signal.SIGUSR1, lambda *_: publisher.publish("handler"))
        os.kill(os.getpid(), signal.SIGUSR1)
        publisher.end("sse", "last")
        print(*(event.data for event in publisher.subscribe(start="start")))
        """,
        f"sqlite:///{tmp_path}/log",
    )

    assert out.split() == ["parent", "thread", "child", "handler", "last"]
