"""``heliograph listen`` as a process: at brokers and at servers."""

import json
import re
import subprocess
import threading
from datetime import datetime

import pytest

from commands import COMMAND, AtTerminal, Command, heliograph, lines, resuming
from heliograph import Publisher
from heliograph.cli import main
from programs import until
from redises import RedisServer
from servers import free_port, gunicorn, serving


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(params=["sqlite", "redis"])
def broker(request, tmp_path):
    """The URL of a broker, a new one."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    return f"{request.getfixturevalue('redis').url}?prefix={tmp_path.name}"


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path}/events.db"


def test_lines_of_json(broker):
    """Each event is a line with documented fields; the channel is known of several, too."""
    with Publisher(broker) as publisher:
        ids = [
            publisher.publish({"percent": 50}, type="progress", channel="job:7"),
            publisher.publish("zwei\nLinien ✓", channel="news"),
        ]
        options = ["-c", "news", "--channel", "job:7", "--since", "start"]
        with Command("listen", broker, *options) as command:
            command.wait_for("Linien")
            publisher.publish("third", channel="news")
            command.wait_for("third")
            assert command.interrupt() == 0

    found = lines(command.out)
    assert [list(event) for event in found] == [
        ["id", "channel", "type", "data", "time"]
    ] * 3
    assert sorted((one["channel"], one["type"], one["data"]) for one in found) == [
        ("job:7", "progress", '{"percent": 50}'),
        ("news", "message", "third"),
        ("news", "message", "zwei\nLinien ✓"),
    ]
    assert all(datetime.fromisoformat(one["time"]).utcoffset() is not None for one in found)
    assert resuming(command.err) == ["--since", found[-1]["id"]]
    assert len({*ids, *(one["id"] for one in found)}) == 5


# (--since, events of the two that are there)
SINCE = [("start", ["1", "2"]), ("last", ["2"]), ("now", []), (None, ["1"])]


@pytest.mark.parametrize(("since", "first"), SINCE)
def test_since(since, first, sqlite):
    """Where listening begins; without the option with what is retained."""
    with Publisher(sqlite) as publisher:
        publisher.publish("1", channel="a", retain=True)
        publisher.publish("2", channel="a")
        options = [] if since is None else ["--since", since]
        with Command("listen", sqlite, "-c", "a", *options) as command:
            command.wait_for(*(f'"data": "{data}"' for data in first))
            # Until it arrives: a process that has yet to begin does not get it.
            until(lambda: publisher.publish("end", channel="a") and "end" in command.out)
            command.interrupt()

    got = [event["data"] for event in lines(command.out)]
    assert got[: len(first) + 1] == [*first, "end"]


def test_types_and_gaps(sqlite):
    """Only the types that are named are printed, and gaps always."""
    options = ["-c", "x", "-t", "b", "-t", "c", "--since", "other.1-1"]
    with Publisher(sqlite) as publisher, Command("listen", sqlite, *options) as command:
        command.wait_for("heliograph.gap")
        for kind in ("a", "b", "c"):
            publisher.publish(kind, type=kind, channel="x")
        command.wait_for('"c"')
        command.interrupt()

    assert [event["type"] for event in lines(command.out)] == ["heliograph.gap", "b", "c"]


def test_end(sqlite):
    """When all channels have ended, the command ends."""
    with Publisher(sqlite) as publisher:
        publisher.publish("1", channel="a")
        publisher.end("a")

    done = heliograph("listen", sqlite, "-c", "a", "--since", "start")

    assert (done.returncode, [one["data"] for one in lines(done.stdout)]) == (0, ["1"])
    assert "the stream has ended" in done.stderr


class Ticker:
    """Publishes numbers until it is told to stop, from 0 on."""

    def __init__(self, url):
        self.count = 0
        self._url = url
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _run(self):
        with Publisher(self._url) as publisher:
            while not self._is_over.wait(0.002):
                publisher.publish(self.count, channel="ab"[self.count % 2])
                self.count += 1


def wait_for_lines(command, amount):
    until(lambda: command.out.count("\n") >= amount)


def listen_in_turns(target, ticker, chance, turns):
    """Listen, press Ctrl-C at any moment, and continue with the id that is printed."""
    got, since = [], ["--since", "start"]
    for _ in range(turns):
        with Command("listen", target, "-c", "a", "-c", "b", *since) as command:
            wait_for_lines(command, chance.randrange(1, 20))
            assert command.interrupt() == 0
        got += [int(event["data"]) for event in lines(command.out)]
        since = resuming(command.err)
    aim = ticker.count
    with Command("listen", target, "-c", "a", "-c", "b", *since) as command:
        until(lambda: f'"data": "{aim}"' in command.out and f'"{aim + 1}"' in command.out)
        command.interrupt()
    return got + [int(event["data"]) for event in lines(command.out)]


def check_complete(got):
    """Each channel's numbers follow each other: nothing is missing, nothing twice."""
    for parity in (0, 1):
        numbers = [number for number in got if number % 2 == parity]
        assert numbers == list(range(parity, parity + 2 * len(numbers), 2))
    assert got


def test_ctrl_c_at_any_moment(broker, chance):
    """The id that Ctrl-C prints continues exactly there."""
    with Publisher(broker) as publisher:
        publisher.position("a", "b")  # the file is there
    with Ticker(broker) as ticker:
        check_complete(listen_in_turns(broker, ticker, chance, 3))


def test_a_server_that_is_restarted(tmp_path, chance):
    """It reconnects, says so, and misses nothing; then Ctrl-C, as at a broker."""
    port = free_port()
    command_line = gunicorn("plain:app", "--threads", "4")
    stream = f"http://127.0.0.1:{port}/stream"
    options = [stream, "-c", "a", "-c", "b"]
    # The server's own storage appears with its first request.
    url = f"sqlite:///{tmp_path}/events.db"
    env = {"APP_SSE_URL": url}
    with (
        serving(command_line, tmp_path, port=port, env=env) as server,
        Ticker(url) as ticker,
        Command("listen", *options, "--since", "start") as command,
    ):
        command.wait_for('"data": "0"', '"data": "1"')
        server.stop()
        command.wait_for("connecting again in", where="err")
        missed = ticker.count
        with serving(command_line, tmp_path, port=port, env=env):
            command.wait_for("connected again", where="err")
            command.wait_for(f'"data": "{missed}"', f'"data": "{missed + 1}"')
            assert command.interrupt() == 0
            aim = ticker.count + 20
            with Command("listen", *options, *resuming(command.err)) as later:
                later.wait_for(f'"data": "{aim}"', f'"data": "{aim + 1}"')
                later.interrupt()

    got = [int(event["data"]) for event in lines(command.out + later.out)]
    check_complete(got)


def test_a_redis_that_is_restarted(redis, tmp_path):
    """The command says what has happened, and continues."""
    url = f"{redis.url}?prefix={tmp_path.name}"
    with Publisher(url) as publisher, Command("listen", url, "-c", "a") as command:
        until(lambda: publisher.publish("1", channel="a") and command.out)
        redis.restart()
        command.wait_for("the broker is available again", where="err")
        until(lambda: heliograph("publish", url, "a", "2").returncode == 0)
        command.wait_for('"2"')
        assert command.interrupt() == 0

    assert "Traceback" not in command.err
    assert all(line.startswith("heliograph: ") for line in command.err.splitlines())


def test_at_a_terminal(sqlite):
    """Time, channel, type and coloured JSON; no event controls the terminal."""
    with Publisher(sqlite) as publisher:
        publisher.publish({"percent": 50}, type="progress", channel="job:7")
        publisher.publish("\x1b]0;owned\x07 two\nlines", channel="job:7")
        with AtTerminal("listen", sqlite, "-c", "job:7", "--since", "start") as command:
            command.wait_for("lines")
            assert command.interrupt() == 0

    plain = re.sub(r"\x1b\[[0-9;]*m", "", command.out).replace("\r\n", "\n")
    assert re.fullmatch(
        r"heliograph: listening; Ctrl-C ends it\n"
        r"\d\d:\d\d:\d\d job:7 progress {\"percent\": 50}\n"
        r"\d\d:\d\d:\d\d job:7 message \\x1b\]0;owned\\x07 two\n         lines\n"
        r"\^C\nheliograph: continue with --since \S+\n",
        plain,
    ), plain
    # The number is coloured, not only the words around it.
    assert re.search(r"\x1b\[[0-9;]+m50\x1b\[", command.out)


# (options, variables of the environment)
PLAIN = [([], {"NO_COLOR": "1"}), (["--json"], {})]


@pytest.mark.parametrize(("options", "env"), PLAIN)
def test_at_a_terminal_without_colours(options, env, sqlite):
    """NO_COLOR is honoured, and --json prints what a pipe would get."""
    with Publisher(sqlite) as publisher:
        publisher.publish({"percent": 50}, channel="a")
    arguments = ["listen", sqlite, "-c", "a", "--since", "start", *options]
    with AtTerminal(*arguments, env=env) as command:
        command.wait_for("50")
        command.interrupt()

    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", command.out)
    assert options == [] or json.loads(command.out.splitlines()[1])["channel"] == "a"


@pytest.mark.parametrize("events", [1, 3])
def test_a_reader_that_leaves(events, sqlite):
    """``| head -1`` ends the command quietly, also if no further event comes."""
    with Publisher(sqlite) as publisher:
        for number in range(events):
            publisher.publish(number, channel="a")
    line = " ".join([*COMMAND, "listen", sqlite, "-c", "a", "--since", "start"])
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [event["data"] for event in lines(done.stdout)] == ["0"]


# (arguments after ``listen``, exit code, words of the message)
WRONG = [
    (["127.0.0.1:8000/stream"], 2, "is not a URL; write http://host:port/path"),
    (["http://"], 2, "has no host, or an invalid port"),
    (["http://h:99999/"], 2, "has no host, or an invalid port"),
    (["http://h/", "-H", "A: hidden", "-H", "a: hidden"], 2, "'a' is given twice"),
    (["http://me:hidden@h/", "-H", "authorization: hidden"], 2, "the URL has a user"),
    (["http://h/", "-H", "a b: hidden"], 2, "'a b' must be a token"),
    (["htp://h/"], 2, "did you mean 'http'?"),
    (["memory:", "-c", "a"], 2, "'memory:' is the memory of one process"),
    (["redis://h"], 2, "a broker needs a channel; write --channel NAME"),
    (["redis://h", "-c", "a", "-H", "A: hidden"], 2, "--header is for streams of a URL"),
    (["http://h/", "-H", "hidden"], 2, "--header 'Name: value'"),
    (
        ["http://me:hidden@127.0.0.1:1/x?token=hidden", "--since", "1"],
        1,
        "Connection refused; check",
    ),
    (["redis://me:hidden@127.0.0.1:1/0", "-c", "a"], 1, "Connection refused"),
    (["sqlite:////nowhere/at/all.db", "-c", "a"], 2, "the folder /nowhere/at does not"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), WRONG)
@pytest.mark.usefixtures("_logs_are_restored")
def test_wrong(arguments, code, words, capfd):
    """One line: what was wrong and what to try; no password."""
    assert main(["listen", *arguments]) == code

    shown = capfd.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1), shown.err
    assert shown.err.startswith("heliograph: ")
    assert words in shown.err
    assert "hidden" not in shown.err
