"""
Results as JSON: a file for each scenario, with when and on which machine it was measured.

A scenario that is measured again replaces its own file. Runs that are quick or leave hubs out
have a folder of their own, so that they replace nothing that is published.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import platform
import re
import subprocess
from importlib.metadata import version

_ROOT = pathlib.Path(__file__).parents[1]
FOLDER = _ROOT / ".fetched" / "bench" / "results"
_PACKAGES = ("uvicorn", "uvloop", "gunicorn", "flask", "fastapi")


def write(folder, name, rows, scale):
    """Write a scenario's rows."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"scenario": name, "scale": scale.name, **surroundings(), "rows": rows}
    fresh = folder / f"{name}.{os.getpid()}"
    fresh.write_text(json.dumps(found, indent=1, default=str) + "\n")
    fresh.replace(folder / f"{name}.json")


def read(folder):
    """Return the results of a folder by scenario."""
    return {
        path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))
    }


def surroundings():
    """Return when and where this is measured, as plain values."""
    return {
        "at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} cores, {_cpu()}, Linux {platform.release()}",
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _commit():
    run = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or "unknown"


def _cpu():
    found = re.search(
        r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE
    )
    return found[1] if found else platform.machine()
