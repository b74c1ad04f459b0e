"""The hub of an application is created when it is needed, with its folder."""

import logging
import os
import stat
import subprocess
import sys
import textwrap
from functools import partial
from types import SimpleNamespace

import pytest

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.faces.config_watch import ConfigWatch
from heliograph.faces.lazy_hub import LazyHub
from heliograph.faces.settings import KEYS, read_settings
from heliograph.servers.advice import Advice
from servers import unmeasured

ADVICE = Advice(logging.getLogger("face"), url_setting="SSE_URL")


def lazy_hub(folder, config=None):
    config = {} if config is None else config
    watch = ConfigWatch(config, KEYS)
    return LazyHub(partial(read_settings, config, folder=folder), ADVICE, watch)


def publish(lazy):
    try:
        lazy.hub.publish(["a"], Event("x"))
    finally:
        lazy.hub.close()


def test_one_hub(tmp_path):
    """It is created once, and its folder is made then and not before."""
    lazy = lazy_hub(tmp_path / "deep" / "data")
    assert not (tmp_path / "deep").exists()

    publish(lazy)

    assert lazy.hub is lazy.hub
    assert (tmp_path / "deep" / "data" / "heliograph.sqlite3").exists()


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///mine", "mine"),
        ("sqlite:///deep/mine", "deep/mine"),
        ("sqlite:///deep/mine?mode=0660", "deep/mine"),
    ],
)
def test_folder_of_a_file(tmp_path, url, file):
    """The folder of a relative file is made."""
    publish(lazy_hub(tmp_path / "data", {"SSE_URL": url}))

    assert (tmp_path / "data" / file).exists()


def test_configured_later(tmp_path):
    """Settings are read at start, and again before the hub is created."""
    config = {"SSE_RETRY_MS": 5}
    lazy = lazy_hub(tmp_path, config)
    assert lazy.settings.hub.retry_ms == 5

    config.update(SSE_RETRY_MS=6, SSE_URL="memory:", SSE_PRIVATE=True)

    try:
        assert (lazy.hub.url, lazy.hub.config.retry_ms) == ("memory:", 6)
        assert lazy.settings.private
        config["SSE_RETRY_MS"] = "7"
        assert lazy.hub.config.retry_ms == 6
    finally:
        lazy.hub.close()


# (what is changed after the first use, words of the error; None if it makes no difference)
CHANGES = [
    ({"SSE_RETRY_MS": 6}, r"^SSE_RETRY_MS was changed after its first use, which has no"),
    ({"SSE_PRIVATE": True, "SSE_LOG_EVENTS": 2}, r"SSE_PRIVATE was .*\nSSE_LOG_EVENTS was"),
    (
        {"SSE_URL": "redis://:secret@h"},
        r"^SSE_URL was changed after its first use(?!.*secret)",
    ),
    ({"SSE_RETRY": 6}, "SSE_RETRY is no setting of Heliograph"),
    ({"SSE_RETRY_MS": "7"}, "SSE_RETRY_MS must be a whole number, not '7'"),
    ({"SSE_LOG_EVENTS": 1024, "SSE_PRIVATE": False, "OTHER": 1}, None),
]


@pytest.mark.parametrize(("changes", "words"), CHANGES)
def test_changed_too_late(tmp_path, changes, words):
    """What has no effect any more is an error each time, except the value that it has."""
    config = {"SSE_RETRY_MS": 5, "SSE_URL": "memory:"}
    lazy = lazy_hub(tmp_path, config)
    lazy.check_unchanged()
    publish(lazy)
    lazy.check_unchanged()

    config.update(changes)

    for _ in range(2):
        if words is None:
            lazy.check_unchanged()
        else:
            with pytest.raises(ConfigError, match=words):
                lazy.check_unchanged()


def test_changed_by_another_folder(tmp_path):
    """No key has another value, but what one means has changed: the error says from what."""
    config, folder = {}, [tmp_path / "old"]
    lazy = LazyHub(
        lambda: read_settings(config, folder=folder[0]), ADVICE, ConfigWatch(config, KEYS)
    )
    publish(lazy)

    folder[0] = tmp_path / "new"
    config["OTHER"] = 1

    words = (
        r"^the URL of .* \(SSE_URL; from sqlite:.*/old/h.* to sqlite:.*/new/h.* was changed"
    )
    with pytest.raises(ConfigError, match=words):
        lazy.check_unchanged()


def test_mistakes(tmp_path):
    """They are reported at start."""
    with pytest.raises(ConfigError, match="SSE_RETRY_MS must be"):
        lazy_hub(tmp_path, {"SSE_RETRY_MS": "5"})


def test_whatever_the_umask(tmp_path):
    """Others may not write to a folder that is made; its file would be refused."""
    old = os.umask(0)
    try:
        publish(lazy_hub(tmp_path / "deep" / "er" / "data"))
    finally:
        os.umask(old)

    assert {
        str(made.relative_to(tmp_path)): oct(stat.S_IMODE(made.stat().st_mode))
        for made in [tmp_path / "deep", *(tmp_path / "deep").rglob("*")]
        if made.is_dir()
    } == {
        "deep": "0o755",
        "deep/er": "0o755",
        "deep/er/data": "0o775",
        "deep/er/data/heliograph.sqlite3-bells": "0o700",
    }


def test_in_a_folder_of_everybody(tmp_path):
    """The error names the folder, and another one in which the file may be."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)

    with pytest.raises(ConfigError, match="data/heliograph with mode 0700"):
        publish(lazy_hub(tmp_path / "data"))


def test_where_nothing_can_be_written(tmp_path):
    """The error names the folder and the key."""
    (tmp_path / "file").write_text("")
    lazy = lazy_hub(tmp_path / "file" / "data")

    with pytest.raises(BrokerUnavailableError, match=r"file/data.* set SSE_URL"):
        _ = lazy.hub


def test_warns_before_a_fork(tmp_path, caplog, monkeypatch):
    """In uWSGI's master the first use logs one warning to the logger of the face."""
    monkeypatch.setattr("heliograph.servers.log_once._logged", set())
    master = SimpleNamespace(opt={"master": True}, worker_id=lambda: 0)
    monkeypatch.setitem(sys.modules, "uwsgi", master)
    lazy = lazy_hub(tmp_path, {"SSE_URL": "memory:"})
    assert not caplog.records

    publish(lazy)

    (record,) = caplog.records
    assert record.name == "face"
    assert "--lazy-apps" in record.message


def test_forks_while_the_hub_is_used(tmp_path):
    """A child inherits no lock that another thread held."""
    program = """
        import logging, os, signal, sys, threading
        from pathlib import Path
        from functools import partial
        from heliograph.faces.config_watch import ConfigWatch
        from heliograph.faces.lazy_hub import LazyHub
        from heliograph.faces.settings import read_settings
        from heliograph.servers.advice import Advice
        sys.setswitchinterval(1e-5)
        advice = Advice(logging.getLogger("face"), url_setting="SSE_URL")
        watch = ConfigWatch({}, ())
        lazy = LazyHub(partial(read_settings, {}, folder=Path(sys.argv[1])), advice, watch)
        stop = threading.Event()
        def use():
            while not stop.is_set():
                lazy.hub.statistics()
        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads: thread.start()
        ended = []
        for _ in range(40):
            child = os.fork()
            if not child:
                signal.alarm(30)
                lazy.hub.statistics()
                os._exit(0)
            ended.append(os.waitpid(child, 0)[1])
        stop.set()
        for thread in threads: thread.join()
        print(set(ended))
    """
    done = subprocess.run(
        # From 3.12 on Python warns a program that forks while it has threads, as this does.
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            textwrap.dedent(program),
            tmp_path,
        ],
        capture_output=True,
        text=True,
        timeout=50,
        env=unmeasured(),
        check=False,
    )

    assert (done.stdout, done.stderr) == ("{0}\n", "")


def test_one_hub_for_a_signal_handler_that_interrupts_its_creation(tmp_path):
    """Wherever it does: what is published there is published to the same hub."""
    step = left = 0
    while left <= 0:
        lazy = lazy_hub(tmp_path, {"SSE_URL": "memory:"})
        step = left = step + 1
        found = []

        def interrupt(*_, lazy=lazy, found=found):
            nonlocal left
            left -= 1
            if not left:
                sys.setprofile(None)
                found.append(lazy.hub)

        sys.setprofile(interrupt)
        found.append(lazy.hub)
        sys.setprofile(None)

        assert set(found) == {lazy.hub}
    assert step > 10
