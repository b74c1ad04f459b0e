"""What tests need that start programs, and no servers."""

import os
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


def until(condition, seconds=20):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
