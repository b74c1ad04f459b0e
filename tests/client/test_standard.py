"""What the standard says an EventSource does: each row of the tables, in each client."""

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import rows_of_answers as answers
import rows_of_streams as streams
from parties import run_in_chromium, run_in_loop, run_in_threads
from rows import LOST, OPEN, Row
from rows_of_differences import DIFFERENCES
from scripted import STREAM, Server

from heliograph.client import EventSource, Reconnect

TABLES = {
    "status": answers.STATUSES,
    "redirect": answers.REDIRECTS,
    "content type": answers.CONTENT_TYPES,
    "end": answers.ENDS,
    "line": streams.LINES,
    "field": streams.FIELDS,
    "id": streams.IDS,
    "time": streams.TIMES,
    "cut": streams.CUTS,
}
COMMON = [
    replace(row, name=f"{table}: {row.name}")
    for table, rows in TABLES.items()
    for row in rows
]
OURS = [*COMMON, *(difference.ours for difference in DIFFERENCES)]
# A sample. The HTTP library leaves a generator behind when it cannot decode, of which trio,
# and only trio, warns.
TRIO = [row for row in OURS if row.name != "end: a broken coding"][::3]

WAITS = [
    Row(
        f"wait: {name}",
        [[STREAM + wire] for wire in wires],
        (OPEN, LOST) * len(wires),
        is_hurried=False,
    )
    for name, wires, _, _ in streams.WAITS
]

PARTIES = {
    "threads": (OURS, run_in_threads),
    "asyncio": (OURS, lambda server, rows: run_in_loop(server, rows, "asyncio")),
    "trio": (TRIO, lambda server, rows: run_in_loop(server, rows, "trio")),
    "chromium": (
        [*COMMON, *(difference.chromium for difference in DIFFERENCES), *WAITS],
        run_in_chromium,
    ),
}


@functools.cache
def performed(party):
    """Perform all rows of a client, and return a future of their outcomes by their names."""
    rows, run = PARTIES[party]
    # A future also keeps what was raised: tests that follow do not try once more.
    with Server() as server, ThreadPoolExecutor(1) as pool:
        return pool.submit(run, server, rows)


@pytest.mark.parametrize(
    ("party", "row"),
    [
        # Whoever gets one row of a client performs all of them.
        pytest.param(
            party,
            row,
            marks=pytest.mark.xdist_group(f"client_{party}"),
            id=f"{party}, {row.name}",
        )
        for party, (rows, _) in PARTIES.items()
        for row in rows
    ],
)
def test_row(party, row):
    """A client makes of a script what is expected."""
    outcome = performed(party).result()[row.name]

    assert outcome.log == row.outcome().log
    assert outcome.requests == row.outcome().requests
    assert outcome.final in {row.outcome().final, None}


@pytest.mark.parametrize(
    "difference", DIFFERENCES, ids=lambda difference: difference.ours.name
)
def test_difference(difference):
    """What is expected of Chromium in the table of differences is something else."""
    assert difference.reason
    assert difference.ours.outcome()[:2] != difference.chromium.outcome()[:2]


@pytest.mark.parametrize(
    ("name", "wires", "seconds"),
    [(name, wires, seconds) for name, wires, seconds, _ in streams.WAITS],
)
def test_the_reconnection_time(name, wires, seconds):
    """An event source waits for as long as the server says, in its later connections, too."""
    waits = []

    def on_error(error, retry_seconds):
        waits.append(retry_seconds)
        if len(waits) == len(wires):
            source.close()

    with Server() as server:
        url = server.add(name, [[STREAM + wire] for wire in wires])
        source = EventSource(url, reconnect=Reconnect.STRICT, on_error=on_error)

        assert list(source) == []

    assert waits[-1] == seconds


@pytest.mark.xdist_group("client_chromium")
@pytest.mark.parametrize(
    ("name", "seconds"), [(name, seconds) for name, _, _, seconds in streams.WAITS]
)
def test_the_reconnection_time_of_chromium(name, seconds):
    """Chromium does, unless what it gets is no number that it takes."""
    waited = performed("chromium").result()[f"wait: {name}"].waited_seconds

    assert waited >= seconds
