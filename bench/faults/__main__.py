"""
Random faults, and a count of what was lost.

Servers, storages and clients of its own run on loopback: gunicorn and uvicorn with two workers
each, over SQLite, one Redis, Redis with Sentinels, a cluster of Redis. While numbered events
are published, workers, connections, Redis, Sentinels and files are harmed at random. Every few
minutes the harm ends for a while, and each reader has to have each event that was acknowledged,
once and in order. If not, the exit status is 1, and the folder with all logs is kept.

    python bench/faults [--minutes 60] [--storage redis --storage sqlite] [--seed 1]

The seed is printed; with the same one, the same faults are drawn in the same order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# Of all processes of the tests, which have their ports for themselves, the last one.
os.environ.setdefault("PYTEST_XDIST_WORKER", "gw4")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))

from book import BROKEN
from running import Site
from storages import STORAGES

import redises

_NUMBERS = re.compile(r"\d+|0x[0-9a-f]+")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--storage", action="append", choices=[*STORAGES], dest="storages",
                        help="all of them at the same time unless given")  # fmt: skip
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--readers", type=int, default=8, help="of each storage")
    parser.add_argument("--events", type=float, default=12.0, help="a second, each storage")
    parser.add_argument("--between", type=float, default=5.0,
                        help="mean seconds between faults of servers, and of storage")  # fmt: skip
    parser.add_argument("--checkpoint", type=float, default=180.0,
                        help="seconds from one comparison to the next")  # fmt: skip
    parser.add_argument(
        "--replicas", default="all", help="of Redis with Sentinels, of a cluster"
    )
    parser.add_argument("--fault", action="append", dest="faults",
                        help="of storage: only this one, as the report names it")  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="keep the logs in any case")
    return parser.parse_args()


def messages(folder):
    """Count what servers have logged as errors, numbers aside."""
    found = Counter()
    for path in folder.glob("*/server-*.log"):
        for line in path.read_text(errors="replace").splitlines():
            if re.search("ERROR|CRITICAL|Traceback|^[A-Za-z_.]+(Error|Exception)", line):
                found[_NUMBERS.sub("#", line)[:150]] += 1
    return found


def report(sites, seconds, folder):
    for site in sites:
        counts = site.book.counts
        print(f"\n{site.name}: {seconds / 60:.1f} minutes,"
              f" {counts['acknowledged']:,d} events acknowledged,"
              f" {counts['deliveries']:,d} deliveries")  # fmt: skip
        print("  " + ", ".join(f"{kind}: {counts[kind]}" for kind in BROKEN))
        others = {
            name: number
            for name, number in sorted(counts.items())
            if name not in {*BROKEN, "acknowledged", "deliveries"}
            and "published by" not in name
        }
        print("  " + ", ".join(f"{name}: {number}" for name, number in others.items()))
        faults = sorted(site.book.faults.items())
        print(f"  {site.book.faults.total()} faults: "
              + ", ".join(f"{name} {number}" for name, number in faults))  # fmt: skip
    print("\nerrors in the logs of servers:")
    for line, number in messages(folder).most_common(20):
        print(f"  {number:5d} {line}")
    broken = sum(site.book.counts[kind] for site in sites for kind in BROKEN)
    acknowledged = all(site.book.counts["acknowledged"] for site in sites)
    return 1 if broken or not acknowledged else 0


async def run(sites, seconds):
    until = time.monotonic() + seconds
    await asyncio.gather(*(site.run(until) for site in sites))


def main():
    options = arguments()
    folder = Path(tempfile.mkdtemp(prefix="heliograph-faults-"))
    print(f"seed {options.seed}; logs in {folder}", flush=True)
    seconds = 60 * options.minutes
    try:
        with contextlib.ExitStack() as stack, (folder / "faults.log").open("w") as log:
            sites = [
                stack.enter_context(Site(name, folder, options, log))
                for name in options.storages or STORAGES
            ]
            asyncio.run(run(sites, seconds))
        result = report(sites, seconds, folder)
    finally:
        for process in redises.processes:
            process.kill()
            process.wait()
    is_kept = result or options.keep
    print(f"\nseed {options.seed}:", "broken" if result else "nothing was lost",
          f"(see {folder})" if is_kept else "")  # fmt: skip
    if not is_kept:
        shutil.rmtree(folder)
    return result


if __name__ == "__main__":
    sys.exit(main())
