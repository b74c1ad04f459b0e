"""``heliograph publish`` as a process, into SQLite."""

import re
import subprocess

import pytest

from commands import AtTerminal, Command, heliograph, resuming
from heliograph import HubConfig, Publisher
from heliograph.cli import main
from heliograph.cli.publish import config_of
from programs import until


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/events.db"


def history(url, channel="a"):
    with Publisher(url) as publisher:
        return publisher.history(channel, limit=10_000)


def test_an_event(url):
    """With its type, an id of its own and a key; the id after it is printed."""
    options = ["--type", "progress", "--id", "7", "--retain", "bar", "--json"]
    done = heliograph("publish", url, "a", '{"percent": 50}', *options)
    plain = heliograph("publish", url, "a", "--", "-5")

    assert (done.returncode, done.stdout) == (0, "7\n")
    assert "does not exist; it is created now" in done.stderr
    assert (plain.returncode, plain.stderr) == (0, "")
    first, second = history(url)
    assert (first.type, first.data) == ("progress", '{"percent": 50}')
    assert (second.type, second.data, second.id) == (None, "-5", plain.stdout.strip())
    with Publisher(url) as publisher:
        assert publisher.last("a", "bar").data == '{"percent": 50}'
        assert next(publisher.subscribe("a", start="start")).id == "7"


def test_end(url):
    """The channel ends, after a last event if there is data."""
    assert heliograph("publish", url, "a", "over", "--end", "--retain", "").returncode == 0
    assert heliograph("publish", url, "a", "--end").returncode == 0
    late = heliograph("publish", url, "a", "late")

    assert (late.returncode, late.stdout, late.stderr.count("\n")) == (1, "", 1)
    assert "has ended" in late.stderr
    assert [event.data for event in history(url)] == ["over", '{"channel": "a"}']


def test_idempotency_key(url):
    """A repetition stores nothing and prints the same id."""
    key = ["--idempotency-key", "step 3"]
    first, second = (heliograph("publish", url, "a", "x", *key) for _ in range(2))

    assert first.stdout == second.stdout
    assert len(history(url)) == 1


def test_bounds(url):
    """What a channel keeps is decided here, too."""
    done = heliograph("publish", url, "a", "-", "--history-events", "2", input="1\n2\n3\n")

    assert done.returncode == 0
    assert [event.data for event in history(url)] == ["2", "3"]


def test_nothing_is_removed_without_bounds():
    """The application may keep more than the defaults of a publisher."""
    default, bounded = config_of({"history_events": None}), config_of({"history_events": 5})

    assert default.history_events > 10**8
    assert default.history_seconds >= 366 * 86_400
    assert bounded.history_events == 5
    # To exceed this one is an error, which removes nothing.
    assert default.retained_keys == HubConfig().retained_keys


def test_lines(url):
    """Each is an event, also an empty one; the id after the last is printed."""
    text = "eins ✓\r\n\n  zwei \nlast without a line end"
    done = heliograph("publish", url, "a", "-", "-t", "line", input=text)

    found = history(url)
    assert [event.data for event in found] == [
        "eins ✓", "", "  zwei ", "last without a line end",
    ]  # fmt: skip
    assert {event.type for event in found} == {"line"}
    assert (done.returncode, done.stdout) == (0, f"{found[-1].id}\n")
    # At no terminal there is neither a bar nor a summary.
    assert "a second" not in done.stderr


# (input, options, words of the message, data that is published before)
BAD_LINES = [
    (
        b'1\n"a"\n{"b": \n4\n',
        ["--json"],
        "line 3 is not JSON: Expecting value",
        ["1", '"a"'],
    ),
    (b"1\n\n", ["--json"], "line 2 is not JSON", ["1"]),
    (b"9" * 5000 + b"\nx\n", ["--json"], "line 2 is not JSON", ["9" * 5000]),
    (b"NaN\n", ["--json"], "line 1 is not JSON that a browser can read", []),
    (b"[" * 100_000, ["--json"], "line 1 is not JSON", []),
    (b"1\na\xff\n", [], "line 2 is not UTF-8: the byte 0xff at column 2", ["1"]),
    (
        b"1\n" + b"x" * 300 + b"\n",
        ["--max-event-bytes", "128"],
        "is larger than 128",
        ["1"],
    ),
]


@pytest.mark.parametrize(("text", "options", "words", "before"), BAD_LINES)
def test_bad_lines(text, options, words, before, tmp_path):
    """The lines before are published; what is wrong, and how to continue, is said."""
    url = f"sqlite:///{tmp_path}/events.db"
    path = tmp_path / "lines"
    path.write_bytes(text)
    with path.open("rb") as file:
        done = heliograph("publish", url, "a", "-", *options, stdin=file)

    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert [event.data for event in history(url)] == before
    assert resuming(done.stderr)[:2] == ["--skip", str(len(before))]


def test_skipping_too_much(url):
    """There have to be so many lines."""
    done = heliograph("publish", url, "a", "-", "--skip", "2", input="1\n")

    assert (done.returncode, done.stdout) == (2, "")
    assert "--skip 2 is more than the 1 lines" in done.stderr
    assert "done" not in done.stderr


def wait_for_events(publisher, command, more):
    """Wait until there are some events more, or the command has ended."""
    aim = publisher.last("a").data if publisher.last("a") else -1
    aim = int(aim) + more
    until(
        lambda: (
            command.process.poll() is not None
            or ((last := publisher.last("a")) and int(last.data) >= aim)
        )
    )


def test_ctrl_c_at_any_moment(url, tmp_path, chance):
    """With the options that are printed the rest is published, each line once."""
    amount = 600
    path = tmp_path / "lines"
    path.write_text("".join(f"{number}\n" for number in range(amount)))
    options, interrupted = [], 0
    with Publisher(url) as publisher:
        code = None
        while code != 0:
            with (
                path.open("rb") as file,
                Command("publish", url, "a", "-", *options, stdin=file) as command,
            ):
                wait_for_events(publisher, command, chance.randrange(1, 300))
                code = command.interrupt()
            if code != 0:
                assert code == 130, command.err
                options, interrupted = resuming(command.err), interrupted + 1

        # A line of which it is not known whether it was stored may be repeated.
        with path.open("rb") as file:
            again = ["--skip", str(amount - 3), *options[2:]]
            assert heliograph("publish", url, "a", "-", *again, stdin=file).returncode == 0

    assert interrupted
    assert [event.data for event in history(url)] == [str(n) for n in range(amount)]


def test_ctrl_c_while_nothing_comes(url):
    """It ends at once, also where a line has begun."""
    with Command("publish", url, "a", "-") as command:
        command.input.write(b"1\n2\npart")
        command.input.flush()
        with Publisher(url) as publisher:
            until(lambda: len(publisher.history("a")) == 2)
        assert command.interrupt() == 130

    assert resuming(command.err)[:2] == ["--skip", "2"]


def test_at_a_terminal(url):
    """A bar with the rate after a second, and a summary at the end."""
    with AtTerminal("publish", url, "a", "-", stdin=subprocess.PIPE) as command:
        lines = 0
        while "a second" not in command.out:
            # Long, so that few of them wait in the pipe.
            command.input.write(b"x" * 8000 + b"\n")
            command.input.flush()
            lines += 1
        command.input.close()
        assert command.end() == 0

    assert re.search(
        rf"heliograph: {lines:,} lines in \d+\.\d s, [\d,]+ a second", command.out
    )


# (arguments after ``publish``, exit code, words of the message)
REFUSED = [
    (["http://me:hidden@h/stream", "a", "x"], 2, "is only for reading"),
    (["memory:", "a", "x"], 2, "'memory:' is the memory of one process"),
    (["rediss//me:hidden@h", "a", "x"], 2, "is not a URL"),
    (["reddis://me:hidden@h", "a", "x"], 2, "did you mean 'redis'?"),
    (["gopher://me:hidden@h", "a", "x"], 2, "no broker for 'gopher://…@h'"),
    (["redis://me:hidden@127.0.0.1:1/0", "a", "x"], 1, "Connection refused"),
    (
        ["sqlite:////nowhere/at/all.db", "a", "x"],
        2,
        "the folder /nowhere/at does not exist",
    ),
    (["sqlite:///", "a", "x"], 2, "names no file"),
    (["sqlite:////tmp", "a", "x"], 1, "/tmp"),
    (["sqlite:///{file}", "a\nb", "x"], 2, "invalid channel 'a\\nb'"),
    (["sqlite:///{file}", "a", "{", "--json"], 2, "DATA is not JSON"),
    (["sqlite:///{file}", "a"], 2, "missing DATA"),
    (["sqlite:///{file}", "a", "x", "--skip", "1"], 2, "--skip leaves out lines"),
    (["sqlite:///{file}", "a", "-", "--id", "1"], 2, "--id is the id of one event"),
    (["sqlite:///{file}", "a", "x", "--history-events", "0"], 2, "--history-events must"),
    (["sqlite:///{file}", "a", "x", "--history-events", "9" * 30], 2, "'--history-events'"),
    (["sqlite:///{file}"], 2, "missing argument 'CHANNEL'"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED)
@pytest.mark.usefixtures("_logs_are_restored")
def test_refused(arguments, code, words, tmp_path, capsys):
    """One line: what was wrong and what to try; no password."""
    file = tmp_path / "events.db"
    file.touch(mode=0o600)

    assert (
        main(["publish", *(text.replace("{file}", str(file)) for text in arguments)])
        == code
    )

    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1), shown.err
    assert shown.err.startswith("heliograph: ")
    assert words in shown.err
    assert "hidden" not in shown.err
