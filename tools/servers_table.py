"""
Writes the table of servers in the documentation, of what a run of the tests measures.

``python tools/servers_table.py`` runs them.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "servers.md"
TEST = "tests/e2e/test_two_hundred_streams.py"

# Name of a server in the tests -> what it is called here, and the package.
NAMES = {
    "gunicorn-sync": ("gunicorn, `sync`", "gunicorn"),
    "gunicorn-gthread": ("gunicorn, `gthread`, 4 threads", "gunicorn"),
    "gunicorn-gevent": ("gunicorn, `gevent`", "gunicorn"),
    "gunicorn-gevent-pywsgi": ("gunicorn, `gevent_pywsgi`", "gunicorn"),
    "waitress": ("waitress, 4 threads", "waitress"),
    "uwsgi-http-socket": ("uWSGI, `--http-socket`", "pyuwsgi"),
    "uwsgi-http": ("uWSGI, `--http`", "pyuwsgi"),
    "werkzeug": ("`flask run`", "werkzeug"),
    "werkzeug-debug": ("`flask run --debug`", "werkzeug"),
    "gevent-pywsgi": ("gevent, `pywsgi`", "gevent"),
    "gevent-pywsgi-not-patched": ("gevent, `pywsgi`, without `monkey`", "gevent"),
    "gunicorn-eventlet": ("gunicorn, `eventlet`", "gunicorn==23.0.0"),
    "eventlet": ("eventlet, `eventlet.wsgi`", "eventlet"),
    "uvicorn-httptools": ("uvicorn, httptools", "uvicorn"),
    "uvicorn-h11": ("uvicorn, h11", "uvicorn"),
    "uvicorn-uvloop": ("uvicorn, httptools and uvloop", "uvicorn"),
    "gunicorn-uvicorn": (
        "gunicorn, `uvicorn_worker.UvicornWorker`",
        "uvicorn-worker",
    ),
    "gunicorn-gthread-fallback": (
        "gunicorn, `gthread`, 210 threads, `SSE_TAKE_OVER = False`",
        "gunicorn",
    ),
    "werkzeug-fallback": ("`flask run`, `SSE_TAKE_OVER = False`", "werkzeug"),
    "mod-wsgi": ("Apache with mod_wsgi, Flask, 210 threads", "mod_wsgi"),
    "granian-wsgi": ("granian, Flask, 210 threads", "granian"),
    "uvicorn-fallback": ("uvicorn, `take_over=False`", "uvicorn"),
    "uvicorn-a2wsgi": ("uvicorn, Flask through a2wsgi, 210 threads", "uvicorn"),
    "gunicorn-asgi": ("gunicorn, `asgi`", "gunicorn"),
    "hypercorn": ("hypercorn", "hypercorn"),
    "granian": ("granian", "granian"),
    "daphne": ("daphne", "daphne"),
}
COLUMNS = [
    "server",
    "version",
    "connection",
    "threads for 200 streams",
    "a lost client is noticed after",
    "it stops after",
    "memory of a stream",
]


def main() -> None:
    """Run the tests and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", TEST],
            env={**os.environ, "HELIOGRAPH_MATRIX": str(path)},
            cwd=ROOT,
            check=True,
        )
        rows = [row(json.loads(line)) for line in path.read_text().splitlines()]
    text = re.sub(
        r"(?<=<!-- measured -->\n).*(?=<!-- until here -->)",
        lambda _: "".join([line(COLUMNS), line(["---"] * len(COLUMNS)), *rows]),
        PAGE.read_text(),
        flags=re.DOTALL,
    )
    PAGE.write_text(text)


def row(measured: dict[str, float | str]) -> str:
    """Give a line of the table."""
    name = str(measured["name"])
    shown, package = NAMES[name]
    cells = [
        shown,
        version_of(package),
        str(measured["how"]),
        f"{max(0, int(measured['threads']))}",
        f"{float(measured['noticed']) * 1000:.0f} ms",
        f"{float(measured['stopped']):.1f} s",
        f"{float(measured['memory']) / 1024:.0f} KB",
    ]
    return line(cells)


def version_of(package: str) -> str:
    """Return the version in the name of a package, or that of Python's or Debian's."""
    if "==" in package:
        return package.partition("==")[2]
    if package != "mod_wsgi":
        return version(package)
    command = ["dpkg-query", "--show", "--showformat=${Version}", "libapache2-mod-wsgi-py3"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return shown.partition("-")[0]


def line(cells: list[str]) -> str:
    """Put cells into a line."""
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
