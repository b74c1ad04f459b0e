"""
Writes the table of clients in the documentation, of what a run of the tests measures.

``python tools/clients_table.py`` runs them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "clients.md"
TEST = "tests/clients/test_clients.py"
MEASURES = "test_the_table_is_what_is_measured"

# Name of a client in the tests -> what it is called here, the package whose version it has,
# and what has to be set, with the section that has the code.
NAMES = {
    "native": ("browser's `EventSource`", None, ""),
    "native-anew": ("`EventSource` renewed by the page", None, "[its lines](#eventsource)"),
    "eventsource": ("`eventsource`, Node", "eventsource", ""),
    "event-source-polyfill": ("`event-source-polyfill`", "event-source-polyfill", ""),
    "reconnecting-eventsource": (
        "`reconnecting-eventsource`",
        "reconnecting-eventsource",
        "[`addEventListener`](#reconnecting-eventsource)",
    ),
    "reconnecting-eventsource-onmessage": (
        "the same with `onmessage`",
        "reconnecting-eventsource",
        "",
    ),
    "fetch-event-source": (
        "`@microsoft/fetch-event-source`",
        "@microsoft/fetch-event-source",
        "[`onclose`, `openWhenHidden`](#microsoftfetch-event-source)",
    ),
    "fetch-event-source-as-it-is": (
        "`fetch-event-source` without settings",
        "@microsoft/fetch-event-source",
        "",
    ),
    "htmx-2": ("htmx 2, `htmx-ext-sse` 2.2.4", "htmx-2", "[the versions](#htmx-2)"),
    "htmx-2-anew": (
        "htmx 2 with the last id",
        "htmx-2",
        "[`createEventSource`](#htmx-2)",
    ),
    "htmx-4": ("htmx 4, `hx-sse`", "htmx-4", "[untyped events](#htmx-4)"),
    "turbo": (
        "Turbo, `<turbo-stream-source>`",
        "@hotwired/turbo",
        "[untyped events](#turbo)",
    ),
    "datastar": ("Datastar, `@get`", "datastar", "[`retry`, `openWhenHidden`](#datastar)"),
    "datastar-as-it-is": ("Datastar without settings", "datastar", ""),
    "fetch": ("`fetch`, Node", None, "[a loop](#clients-that-do-not-reconnect)"),
    "heliograph": ("[`heliograph.client`](client.md), Python", None, ""),
    "heliograph-async": ("the same, asyncio", None, ""),
    "requests-lines": (
        "`requests`, `iter_lines()`",
        "requests",
        "[a loop](#clients-that-do-not-reconnect)",
    ),
    "requests-content": (
        "`requests`, `iter_content(None)`",
        "requests",
        "[a loop](#clients-that-do-not-reconnect)",
    ),
    "requests-loop": (
        "`requests`, in the loop below",
        "requests",
        "[a loop](#clients-that-do-not-reconnect)",
    ),
    "sseclient-py": (
        "`sseclient-py`",
        "sseclient-py",
        "[a loop](#clients-that-do-not-reconnect)",
    ),
    "httpx": ("`httpx`", "httpx", "[a loop, `timeout`](#clients-that-do-not-reconnect)"),
    "httpx-sse": (
        "`httpx-sse`",
        "httpx-sse",
        "[a loop, `timeout`](#clients-that-do-not-reconnect)",
    ),
    "aiohttp": (
        "`aiohttp`",
        "aiohttp",
        "[a loop, `timeout`](#clients-that-do-not-reconnect)",
    ),
    "aiohttp-sse-client": (
        "`aiohttp-sse-client`",
        "aiohttp-sse-client",
        "[a loop, `timeout`](#aiohttp-sse-client)",
    ),
    "urllib": ("`urllib`, `read1`", None, "[a loop](#clients-that-do-not-reconnect)"),
    "curl": ("`curl --no-buffer`", None, "[a loop](#clients-that-do-not-reconnect)"),
    "go": ("Go, `net/http`", None, "[a loop](#clients-that-do-not-reconnect)"),
}
COLUMNS = [
    "client",
    "version",
    "each event at once",
    "after a cut",
    "after the end",
    "tells them apart",
    "after a status 503",
    "what to set",
]

# What a client did on one way of serving, as the tests write it.
Outcome = dict[str, Any]


def main() -> None:
    """Run the tests and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured"
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:randomly",
                TEST,
                "-k",
                MEASURES,
            ],
            env={**os.environ, "HELIOGRAPH_CLIENTS": str(path)},
            cwd=ROOT,
            check=True,
        )
        measured = json.loads(path.read_text())
    text = re.sub(
        r"(?<=<!-- measured -->\n).*(?=<!-- until here -->)",
        lambda _: "".join([line(COLUMNS), line(["---"] * len(COLUMNS)), *rows(measured)]),
        PAGE.read_text(),
        flags=re.DOTALL,
    )
    PAGE.write_text(text)


def rows(measured: dict[str, Any]) -> list[str]:
    """
    Return the lines of the table.

    Args:
        measured: ``"versions"``, of the packages that are not Python's, and ``"outcomes"``,
            by the name of a way of serving and of a client.
    """
    return [row(name, measured) for name in NAMES]


def row(name: str, measured: dict[str, Any]) -> str:
    """Return the line of a client."""
    shown, package, settings = NAMES[name]
    outcomes = {way: one[name] for way, one in measured["outcomes"].items() if name in one}
    columns = [prompt, after_cut, after_end, tells_apart, after_status]
    cells = [
        over_ways({way: cell(one) for way, one in outcomes.items()}) for cell in columns
    ]
    return line([shown, version_of(package, measured["versions"]), *cells, settings])


def prompt(outcome: Outcome) -> str:
    """Return whether each event was there before the next was published."""
    if outcome["strays"]:
        return "yes, and empty messages"
    return "yes" if outcome["prompt"] else "**no**"


def after_cut(outcome: Outcome) -> str:
    """Return what it does after its connection has been cut."""
    return reaction(outcome["cut"], outcome["reports"]["cut"])


def after_end(outcome: Outcome) -> str:
    """Return what it does after the end of a stream."""
    return reaction(outcome["end"], outcome["reports"]["end"])


def tells_apart(outcome: Outcome) -> str:
    """Return whether it reports a cut otherwise than an end."""
    return "yes" if outcome["reports"]["cut"] != outcome["reports"]["end"] else "no"


def after_status(outcome: Outcome) -> str:
    """Return what it does after an answer that is no stream, tried on one way only."""
    how = outcome["status"]
    if how == "closed" or how.startswith("stops"):
        return "gives up"
    return with_losses("reconnects", how) if how else ""


def reaction(how: str, reports: list[str]) -> str:
    """Return what a client does, as a cell has it."""
    if how == "closed":
        return "gives up"
    if not how.startswith("stops"):
        return with_losses(how.partition(",")[0], how)
    stopped = "ends" if reports[-1] == "end" else f"`{reports[-1]}`"
    return f"{stopped}, without an id" if "without" in how else with_losses(stopped, how)


def with_losses(text: str, how: str) -> str:
    """Add what went wrong."""
    _, _, losses = how.partition(", ")
    if losses.startswith("misses"):
        return f"{text}, **misses events**"
    return f"{text}, **{losses}**" if losses else text


def over_ways(cells: dict[str, str]) -> str:
    """Return the value that most ways without gzip have, then each other with its ways."""
    ways: dict[str, list[str]] = {}
    for way, value in cells.items():
        if value:
            ways.setdefault(value, []).append(way)
    if not ways:
        return "—"
    plain = {value: [way for way in ways[value] if " with " not in way] for value in ways}
    usual = max(ways, key=lambda value: len(plain[value]))
    others = [f"{value} ({listed(ways[value], cells)})" for value in ways if value != usual]
    return "; ".join([usual, *others])


def listed(ways: list[str], tried: Iterable[str]) -> str:
    """
    Return the names of ways, as short as can be.

    Args:
        ways: Some of those that were tried. ``"gunicorn with gzip"`` is a variant of
            ``"gunicorn"``.
        tried: All of them.
    """
    if set(ways) == {way for way in tried if " with " in way}:
        return "with gzip"
    names = []
    for way in ways:
        server = way.partition(" ")[0]
        variants = [one for one in tried if one.partition(" ")[0] == server]
        name = server if set(variants) <= set(ways) else way
        if name not in names:
            names.append(name)
    return ", ".join(names)


def version_of(package: str | None, versions: dict[str, str]) -> str:
    """Return the version of a package, of npm or of Python."""
    if package is None:
        return ""
    return versions.get(package) or version(package)


def line(cells: list[str]) -> str:
    """Put cells into a line."""
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
