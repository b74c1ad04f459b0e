"""
A pytest plugin that runs each test that has failed once more, alone.

A test that passes then is flaky: pytest's closing line counts it as such and not as a
failure, and its id is shown, and appended to the file that ``FLAKY_TESTS`` names in the
environment. If one fails again, the run has failed. Nothing is run again after a crash, an
interruption or an error in collecting, or if more has failed than bad luck explains.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

_MOST = 10


class _Retest:
    """What the process that prints the summary does."""

    def __init__(self) -> None:
        self._session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember what has the exit status."""
        self._session = session

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> None:
        """Run again what has failed, before the failed tests are listed and counted."""
        session, stats = self._session, terminalreporter.stats
        failures = [*stats.get("failed", []), *stats.get("error", [])]
        # What crashed and what could not be collected has no report of a test.
        ids = {getattr(report, "runs_alone_as", None): report for report in failures}
        if (
            session is None
            or exitstatus != pytest.ExitCode.TESTS_FAILED
            or session.shouldfail
            or session.shouldstop
            or not 0 < len(ids) <= _MOST
            or None in ids
        ):
            return
        terminalreporter.section("retest")
        flaky = {name for name in ids if _passes_alone(name, terminalreporter)}
        for category in ("failed", "error"):
            left = [
                one for one in stats.pop(category, []) if one.runs_alone_as not in flaky
            ]
            if left:
                stats[category] = left
        if not flaky:
            return
        # pytest's own way to add a category to the closing line; there is no public one.
        terminalreporter._add_stats(  # noqa: SLF001 - see above
            "flaky", [ids[name] for name in sorted(flaky)]
        )
        _note(f"flaky: {name}\n" for name in sorted(flaky))
        if flaky == ids.keys():
            session.exitstatus = pytest.ExitCode.OK


def pytest_configure(config: pytest.Config) -> None:
    """Take part in the summary, unless this is a worker of pytest-xdist."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Retest())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note in each report the id of its test, without the group of pytest-xdist."""
    report = yield
    group = item.get_closest_marker("xdist_group")
    report.runs_alone_as = item.nodeid.removesuffix(f"@{group.args[0]}" if group else "")
    return report


def _passes_alone(name: str, terminal: pytest.TerminalReporter) -> bool:
    """Run a test in a process of its own, with the same seed; show how it fails."""
    seed = terminal.config.getoption("randomly_seed", None)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *([] if seed is None else [f"--randomly-seed={seed}"]),
            name,
        ],
        cwd=terminal.config.rootpath,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    # A test that is skipped now has not passed.
    passed = ran.returncode == 0 and "1 passed" in ran.stdout
    if not passed:
        terminal.write(ran.stdout)
    terminal.write_line(f"{'flaky' if passed else 'fails again'}: {name}")
    return passed


def _note(lines: Generator[str]) -> None:
    """Append lines to the file for those who show them at the end of everything."""
    path = os.environ.get("FLAKY_TESTS")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(lines)
