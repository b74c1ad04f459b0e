"""
What else the machine did while something was measured.

A hub and the load generator have a core each. What these cores did for other programs, and the
time that a hypervisor took away, says how far a run can be trusted: `Bench` repeats runs that
were disturbed, and tables mark those that stayed so.

    with watch({0, 1}) as noise:
        ...
    if noise.is_loud: ...
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from measuring import cpu_seconds

_TICKS = os.sysconf("SC_CLK_TCK")
# Shares of a core. A run of some seconds sees less on a machine that does nothing else.
LOUD_FOREIGN = 0.06
LOUD_STOLEN = 0.03


@dataclass
class Noise:
    """Shares of a core's time that `foreign` programs used, and that was `stolen`."""

    seconds: float = 0.0
    foreign: float = 0.0
    stolen: float = 0.0

    @property
    def is_loud(self):
        return self.foreign > LOUD_FOREIGN or self.stolen > LOUD_STOLEN

    @property
    def sum(self):
        return self.foreign + self.stolen


@contextlib.contextmanager
def watch(cores, pids=()):
    """
    Yield a `Noise` that is filled in at the end of the block.

    Args:
        cores: Numbers of the cores that are watched.
        pids: Processes that are the bench's beside its children.
    """
    own = [os.getpid(), *pids]
    noise = Noise()
    began, before = time.monotonic(), _clocks(cores, own)
    yield noise
    after = _clocks(cores, own)
    noise.seconds = time.monotonic() - began
    busy, stolen, own = (b - a for a, b in zip(before, after, strict=True))
    noise.foreign = max(0.0, (busy - own) / noise.seconds)
    noise.stolen = stolen / noise.seconds


def _clocks(cores, own):
    """
    Seconds that the cores were busy, that were stolen, and that processes of the bench used.

    Interrupts are left out: those of loopback are the work of whoever sends, and are charged to
    nobody.
    """
    busy = stolen = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            busy += sum(map(int, ticks[:3]))
            stolen += int(ticks[7])
    return busy / _TICKS, stolen / _TICKS, cpu_seconds(own)
