"""What tests need that start programs, and no servers."""

import os
import subprocess
import sys
import textwrap
import time


def unmeasured():
    """
    The environment for a program that forks while it has threads.

    Coverage's own locks are not made for that, and its tracing is slow enough to matter.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_")
    }


def run(program, *arguments, warnings="error", **options):
    """
    Run a program in a process of its own, which has to end well and silently.

    Args:
        program: Its source, indented as a whole or not.
        arguments: Of its command line.
        warnings: What to do about warnings, for ``-W``.
        options: For :func:`subprocess.run`.

    Returns:
        What it has written.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            warnings,
            "-c",
            textwrap.dedent(program),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=unmeasured(),
        **options,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def until(condition, seconds=20):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
