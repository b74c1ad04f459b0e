"""Descriptors are left to others."""

import contextlib
import os
import resource

from heliograph.hub.descriptor_budget import DescriptorBudget


def test_files(monkeypatch):
    """They are looked at again after a second, and when there is none left to look with."""
    now = 0.0
    monkeypatch.setattr("heliograph.hub.descriptor_budget.time.monotonic", lambda: now)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = DescriptorBudget()
    others = []
    assert files.have_room()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        with contextlib.suppress(OSError):
            while True:
                others.append(os.open(os.devnull, os.O_RDONLY))
        assert files.have_room()  # it has just looked
        now = 1.5
        assert not files.have_room()
        while others:
            os.close(others.pop())
        assert not files.have_room()  # the same
        now = 3.0
        assert files.have_room()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in others:
            os.close(number)
