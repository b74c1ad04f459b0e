"""``heliograph channels`` as a process: for programs, for people, and its errors."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys

import pytest

from heliograph import Event
from heliograph.brokers import Retention, Terms, open_broker, register_broker
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.memory import MemoryBroker
from heliograph.channels.position import Positions
from heliograph.cli import main
from redises import RedisServer

pytestmark = pytest.mark.usefixtures("_logs_are_restored")

# What a publisher may have put into an event, to deceive whoever looks at it.
TITLE = "\x1b]0;title\x07"

STYLE = re.compile(r"\x1b\[[\d;]*m")


@contextlib.asynccontextmanager
async def opened(url):
    broker = open_broker(url, Retention(events=5, seconds=3600))
    await broker.open(RecordingListener())
    try:
        yield broker
    finally:
        await broker.close()


async def fill(broker):
    await broker.append("news", Event("1", id="own"))
    await broker.append("news", Event(f"é\n{TITLE}", type="t"), terms=Terms(retain_as="k"))
    for n in range(7):
        await broker.append("job:1", Event(str(n)))
    await broker.append("job:2", Event("last"), terms=Terms(is_end=True))
    # Between processes.
    await broker.append("\x01heliograph.control", Event("news", type="disconnect"))


@pytest.fixture
def url(tmp_path):
    async def prepare():
        async with opened(made) as broker:
            await fill(broker)

    made = f"sqlite:///{tmp_path / 'events.db'}"
    asyncio.run(prepare())
    return made


def run(*arguments, **options):
    command = [sys.executable, "-m", "heliograph", "channels", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)


def in_terminal(*arguments, **variables):
    """Run the command where stdout is a terminal; return what that shows."""
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "heliograph", "channels", *arguments],
            stdout=theirs,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "TERM": "xterm-256color", **variables},
        )
        assert (done.returncode, done.stderr) == (0, b"")
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end, on Linux
            while part := os.read(ours, 65_536):
                shown += part
        return shown.decode().replace("\r\n", "\n")
    finally:
        os.close(ours)


def lines(done):
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_list(url):
    """A line of JSON for each channel, without those of Heliograph itself."""
    found = {one["channel"]: one for one in lines(run(url))}

    assert [*found] == ["job:1", "job:2", "news"]
    assert {
        name: (one["events"], one["head"], one["retained"], one["ended"], one["listeners"])
        for name, one in found.items()
    } == {
        "job:1": (5, 7, 0, False, None),
        "job:2": (1, 1, 0, True, None),
        "news": (2, 2, 1, False, None),
    }
    assert all(one["oldest"].endswith("+00:00") for one in found.values())
    assert found["job:2"]["size_bytes"] == len("last")
    assert [one["channel"] for one in lines(run(url, "--prefix", "job:"))] == [
        "job:1",
        "job:2",
    ]


def test_a_channel(url):
    """Its line has the newest events, and the id from which a stream goes on."""
    (found,) = lines(run(url, "news"))
    (short,) = lines(run(url, "job:1", "--last", "2"))
    (none,) = lines(run(url, "news", "--last", "0"))

    head = Positions.parse(found["id"], ("news",))["news"]
    assert (head.offset, found["processes"]) == (2, 0)
    assert [
        {name: value for name, value in event.items() if name not in {"time", "channel"}}
        for event in found["newest"]
    ] == [
        {"id": "own", "type": "message", "data": "1", "offset": 1, "retained_as": None, "ends": False},
        {"id": found["id"], "type": "t", "data": f"é\n{TITLE}", "offset": 2, "retained_as": "k", "ends": False},
    ]  # fmt: skip
    assert [event["data"] for event in short["newest"]] == ["5", "6"]
    assert none["newest"] == []


def test_a_person_reads(url):
    """A table with the names at the end; or a channel, and nothing that obeys an event."""
    table = STYLE.sub("", in_terminal(url))
    one = STYLE.sub("", in_terminal(url, "news"))

    titles, *rows, end = [line.split() for line in table.splitlines()]
    assert titles[0] == "EVENTS"
    assert [row[-1] for row in rows] == ["job:1", "job:2", "news"]
    assert "ended" in rows[1]
    assert " ".join(end) == "3 channels; 0 processes use the storage"
    assert one.splitlines()[0] == "news"
    assert "message 1\n" in one
    assert r"t é" in one
    assert r"\x1b]0;title\x07" in one
    assert TITLE not in one
    assert ("\x1b[36m" in in_terminal(url)) > ("\x1b[36m" in in_terminal(url, NO_COLOR="1"))
    assert json.loads(in_terminal(url, "job:2", "--json"))["channel"] == "job:2"


def test_redis(tmp_path):
    """The processes that listen to a channel are counted."""
    server = RedisServer(tmp_path / "redis")

    async def listen_and_run():
        async with opened(server.url) as broker:
            await fill(broker)
            await broker.listen("news")
            return await asyncio.to_thread(run, server.url)

    try:
        found = {one["channel"]: one for one in lines(asyncio.run(listen_and_run()))}
    finally:
        server.kill()

    assert [*found] == ["job:1", "job:2", "news"]
    assert (found["news"]["listeners"], found["job:1"]["listeners"]) == (1, 0)
    assert found["news"]["size_bytes"] > 0


def test_nothing_to_list(url):
    """That is no error, and is said."""
    done = run(url, "--prefix", "none")

    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().startswith("heliograph: no channel that begins with 'none'")


def test_a_reader_that_leaves(url):
    """As in ``| head -1``: there is no error."""

    async def add():
        async with opened(url) as broker:
            many = (broker.append(f"many:{n}", Event("x")) for n in range(1000))
            await asyncio.gather(*many)

    asyncio.run(add())
    command = [sys.executable, "-m", "heliograph", "channels", url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (0, b"")


# (arguments after the URL of a file that exists, or instead of it; exit code; words)
ERRORS = [
    (["{url}-none"], 1, "there is no such file; write the path that the application uses"),
    (["{url}", "none"], 1, "there is no channel 'none': nothing was published to it"),
    (["redis://:secret@127.0.0.1:1/0"], 1, "redis://127.0.0.1:1/0"),
    (["redis://:secret@127.0.0.1:1/0"], 1, "; check that it runs, and that the"),
    (["memory:"], 2, "is the memory of one process"),
    (["{url}", "--last", "3"], 2, "--last needs a channel"),
    (["{url}", "news", "--prefix", "n"], 2, "--prefix is for the list"),
    (["{url}", "news", "--last", "-1"], 2, "-1"),
    (["{url}", "news", "--last", "9" * 30], 2, "is not in the range"),
    (["sqlite:////usr"], 1, "/usr is a folder; write the path of a file"),
    (["{url}", "two\nlines"], 2, "must not contain control characters"),
    (["http://user:secret@127.0.0.1/stream"], 2, "is the URL of a stream"),
    (["127.0.0.1:6379"], 2, "is not a URL"),
    (["redi://127.0.0.1"], 2, "did you mean 'redis'?"),
    ([], 2, "missing argument 'BROKER'"),
]


@pytest.mark.parametrize("row", ERRORS)
def test_errors(url, tmp_path, capsys, row):
    """One line says what is wrong, and nothing is created."""
    arguments, code, words = row
    before = sorted(tmp_path.rglob("*"))

    assert main(["channels", *(one.format(url=url) for one in arguments)]) == code

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("heliograph: ")
    assert shown.err.count("\n") == 1
    assert words in shown.err
    assert "secret" not in shown.err
    assert sorted(tmp_path.rglob("*")) == before


class Unlisted(MemoryBroker):
    """Of another package, written for an earlier release."""

    inspect = property()


def test_a_broker_that_cannot_be_inspected(capsys):
    """The error names the method that its package lacks."""
    register_broker("unlisted", lambda url, retention: Unlisted(retention))

    assert main(["channels", "unlisted:///"]) == 1

    assert "lacks the method inspect()" in capsys.readouterr().err
