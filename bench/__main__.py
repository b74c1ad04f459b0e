"""
Measure Heliograph beside other hubs, and show tables with ratios. See bench/README.md.

    python bench                      all scenarios, all hubs: some 35 minutes
    python bench --quick              less of each: below two minutes
    python bench a e --hubs heliograph nchan
    python bench --show               the tables again, from what was measured
    python bench --page               docs/performance.md from what was measured
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import time

import report
import results
from rig import FULL, QUICK, Bench, say
from scenarios import SCENARIOS, named

from hubs import FLOOR, OURS, PEERS

# What a quick run measures, by the beginnings of their names.
QUICK_HUBS = ("Heliograph", "nchan", "floor")


def parse():
    parser = argparse.ArgumentParser(
        prog="python bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("letters", nargs="*", help="scenarios: a to l, all without")
    parser.add_argument("--quick", action="store_true", help="less of each")
    parser.add_argument("--hubs", nargs="+", help="parts of the names of hubs")
    parser.add_argument("--streams", type=float, help="a share of the streams, such as 0.1")
    parser.add_argument("--seconds", type=float, help="a share of the time, such as 0.1")
    parser.add_argument("--results", type=pathlib.Path, help="folder of JSON files")
    parser.add_argument("--show", action="store_true", help="tables of what was measured")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md")
    return parser.parse_args()


def main():
    options = parse()
    scale = QUICK if options.quick else FULL
    changes = {
        name: value
        for name in ("streams", "seconds")
        if (value := getattr(options, name)) is not None
    }
    if changes:
        scale = dataclasses.replace(scale, name="partial", attempts=1, **changes)
    elif options.hubs and scale is FULL:
        scale = dataclasses.replace(scale, name="partial")
    folder = options.results or (
        results.FOLDER if scale is FULL else results.FOLDER / scale.name
    )
    if options.page:
        report.write_page(results.read(folder))
    elif options.show:
        for name in named(options.letters):
            show(name, results.read(folder).get(name, {"rows": []})["rows"])
    else:
        measure(options, scale, folder)


def measure(options, scale, folder):
    began = time.monotonic()
    bench = Bench(*chosen(options), scale)
    say(f"hubs: {', '.join(hub.name for hub in bench.hubs)}")
    found = {}
    for name in named(options.letters):
        rows = found[name] = []
        try:
            for row in SCENARIOS[name].measure(bench):
                rows.append(row)
                say(f"{time.monotonic() - began:5.0f} s  {name}: {line(row)}")
        finally:
            if rows:
                results.write(folder, name, rows, scale)
        show(name, rows)
    # Targets are for all streams: with a share of them little can be missed.
    if bench.is_full:
        for judgement in report.judgements(found):
            print(judgement)
    say(f"{time.monotonic() - began:.0f} s in all; JSON in {folder}")


def chosen(options):
    """Return ours, the peers and the floor that are wanted and can be had here."""

    def wanted(hub):
        if options.hubs:
            return any(part.lower() in hub.name.lower() for part in options.hubs)
        return not options.quick or hub.name.startswith(QUICK_HUBS)

    ours = [hub for hub in OURS if wanted(hub)]
    peers = [hub for hub in PEERS if wanted(hub) and can_be_had(hub)]
    return ours, peers, FLOOR if wanted(FLOOR) and can_be_had(FLOOR) else None


def can_be_had(hub):
    """Return whether a hub is set up now; if not, say why."""
    try:
        why = hub.why_missing()
        if why is None:
            hub.set_up()
    except Exception as error:  # noqa: BLE001 - it is left out with a word
        why = f"{type(error).__name__}: {error}"
    if why is not None:
        say(f"{hub.name} is left out: {why}")
    return why is None


def line(row):
    """A row in a line: what it is about, and some figures."""
    names = ("deliveries_per_second", "published_per_second", "opened_per_second", "p99")
    about = [str(value) for value in row.values() if isinstance(value, str)]
    about += [f"{name} {row[name]}" for name in ("streams", "connections") if name in row]
    figures = [f"{name} {row[name]:,.4g}" for name in names if name in row]
    return ", ".join(about + figures + (["disturbed"] if row.get("loud") else []))


def show(name, rows):
    print(f"\n{SCENARIOS[name].__doc__.strip().splitlines()[0]}\n")
    for one in SCENARIOS[name].tables(rows):
        if one.lines or one.notes:
            print(one.text(), end="\n\n")
    sys.stdout.flush()


main()
