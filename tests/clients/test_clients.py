"""
Each client on each way of serving, as ``docs/clients.md`` says.

All of them are tried at once, in the first test that asks for what they did: they wait more
than they compute. ``HELIOGRAPH_CLIENTS`` names a file for it: ``tools/clients_table.py``
makes the table of that, and nothing is compared.
"""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import json
import os
import re
from pathlib import Path

import pytest
from client_runs import HERE, try_all
from client_trial import CLIENTS
from client_ways import WAYS, browser_files, served, trust

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "clients.md"
WRITTEN = os.environ.get("HELIOGRAPH_CLIENTS")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def table():
    """The tool that writes the table."""
    spec = importlib.util.spec_from_file_location("table", ROOT / "tools/clients_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the clients did."""
    folder = tmp_path_factory.mktemp("clients")
    files = folder / "files"
    versions = browser_files(files)
    with contextlib.ExitStack() as stack:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            starting = [served(way, folder, files) for way in WAYS]
            ways = list(pool.map(stack.enter_context, starting))
        env = trust(folder)
        outcomes = asyncio.run(try_all(ways, files, folder / "log", env))
    found = {
        "versions": versions,
        "outcomes": {
            way: {name: dataclasses.asdict(one) for name, one in results.items()}
            for way, results in outcomes.items()
        },
    }
    if WRITTEN:
        Path(WRITTEN).write_text(json.dumps(found))
    return found


# One test for all clients, as they are tried all at once: one that fails is run once more.
def test_no_client_misses_what_it_can_have(measured):
    """No way of serving holds an event back, sends one twice, or has a client dispatch none."""
    wrong = [
        (way, name, problem)
        for way, outcomes in measured["outcomes"].items()
        for name, outcome in outcomes.items()
        for problem in _problems(outcome, keeps_id=CLIENTS[name].keeps_id)
    ]

    assert wrong == []


def _problems(outcome, *, keeps_id):
    if not outcome["prompt"]:
        yield "an event came after the next one was due"
    yield from outcome["strays"]
    yield from re.findall("repeats|misses", outcome["cut"] + outcome["end"])
    if keeps_id and outcome["status"] not in {"", "reconnects"}:
        yield outcome["status"]


def test_the_table_is_what_is_measured(measured, table):
    """If it is not, ``python tools/clients_table.py`` writes it anew."""
    if WRITTEN:
        pytest.skip("the table is about to be written")
    measured_rows = {
        shown: table.row(name, measured) for name, (shown, _, _) in table.NAMES.items()
    }

    assert measured_rows == _rows()


def test_the_table_is_complete(table):
    """Each client that is tried has its line, and no other."""
    assert list(table.NAMES) == list(CLIENTS)
    assert list(_rows()) == [shown for shown, _, _ in table.NAMES.values()]


def _rows():
    """The lines of the table, by the client."""
    table = PAGE.read_text().partition("<!-- measured -->\n")[2].partition("<!--")[0]
    _, _, *rows = table.splitlines(keepends=True)
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def _code():
    for language, block in re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        yield pytest.param(block, id=f"{language}-{block.strip().splitlines()[0]}")


@pytest.mark.parametrize("block", list(_code()))
def test_the_code_is_what_runs(block):
    """Each block of the page is a part of a client that is tried."""
    programs = [path for path in HERE.rglob("in_*") if path.is_file()]
    texts = [path.read_text() for path in [*programs, *HERE.glob("pages/*.html")]]

    assert any(_flat(block) in _flat(text) for text in texts)


def _flat(code):
    return " ".join(code.split())
