"""Every listener is given the entries of all processes, in order, once."""

import contextlib
import sqlite3

import pytest
from contract import Ear
from sqlite_files import opened, run_program

from heliograph import Event


async def test_two_brokers_share_a_file(path):
    """What one appends the other hears, as if it were its own."""
    ear = Ear()
    async with opened(path, ear) as here, opened(path) as there:
        await here.listen("a")
        one = await there.append("a", Event("there"))
        two = await here.append("a", Event("here"))

        assert await ear.hear(2) == [one, two]


async def test_damage_is_logged_once(path, caplog):
    """Another program cannot fill the log with what it writes into the file."""
    ear = Ear()
    async with opened(path, ear) as broker:
        for name in ("a", "b"):
            await broker.listen(name)
            await broker.append(name, Event("x"))
        for n in range(2, 5):
            with contextlib.closing(sqlite3.connect(path)) as other, other:
                other.execute("UPDATE channel SET epoch = 'a-b' WHERE name = 'b'")
                other.execute(
                    "INSERT INTO entry (channel_id, offset, published_at, type, data)"
                    " SELECT id, ?, published_at, 'line' || char(10), 'x' FROM channel"
                    " WHERE name = 'a'",
                    (n * 10,),
                )
            await broker.append("b", Event("x"))
            await ear.hear(n + 1)

    lines = [record.message for record in caplog.records]
    assert [line.partition(f": {path}")[0] for line in sorted(lines)] == [
        "channel 'a': skipped damaged entries",
        "channel 'b': skipped its damaged row, it begins anew",
    ]


@pytest.mark.timeout(240)
def test_four_publish_four_listen(path):
    """Every listener sees every event in offset order, once."""
    events, channels = 10_000, ["a", "b", "c"]
    listeners = [run_program("listen.py", path, 4 * events, *channels) for _ in range(4)]
    for listener in listeners:
        assert listener.stdout.readline() == "listening\n"
    publishers = [run_program("publish.py", path, events, n, *channels) for n in range(4)]

    for program in publishers:
        out, _ = program.communicate(timeout=200)
        assert program.returncode == 0, out
    reports = {program.communicate(timeout=200)[0] for program in listeners}

    # The listeners check order and holes themselves, and print a digest of what they saw.
    assert len(reports) == 1
    assert reports.pop().startswith(f"{4 * events} in order, once: ")
