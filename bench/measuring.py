"""
What servers use: processor time, memory, descriptors, each with all their children.

    before = usage(hub.processes())
    ...
    spent = usage(hub.processes()) - before
"""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass(frozen=True)
class Usage:
    """
    What processes have used, or by subtraction what they used in between.

    `anonymous_bytes` is memory of their own: pages that forked processes share are counted once.
    `waiting_seconds` is how long threads could have run and had no core: where a server that is
    pinned to one waits for more than a fraction of the time, something else ran there, and its
    figures say little. `kernel_bytes` is the whole machine's: sockets cost on both ends, and no
    process is charged.
    """

    cpu_seconds: float
    waiting_seconds: float
    anonymous_bytes: int
    descriptors: int
    kernel_bytes: int

    def __sub__(self, before):
        return Usage(
            *(
                a - b
                for a, b in zip(
                    dataclasses.astuple(self), dataclasses.astuple(before), strict=True
                )
            )
        )


def usage(pids):
    """What these processes and their children use."""
    return Usage(
        cpu_seconds(pids),
        waiting_seconds(pids),
        anonymous_bytes(pids),
        descriptors(pids),
        kernel_bytes(),
    )


def with_children(pids):
    """The ids of these processes and of all that descend from them."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(entry.name)):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.append(pid)
            waiting += parents.get(pid, [])
    return found


def cpu_seconds(pids):
    """Processor time of all threads, also of children that have ended, to the nanosecond."""
    return sum(_cpu_seconds(pid) for pid in with_children(pids))


def waiting_seconds(pids):
    """How long threads that are alive have been ready to run without running."""
    nanoseconds = 0
    for pid in with_children(pids):
        for path in Path("/proc").glob(f"{pid}/task/*/schedstat"):
            try:
                nanoseconds += int(path.read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return nanoseconds / 1e9


def anonymous_bytes(pids):
    """Memory that no file is behind, as far as it is resident."""
    return 1024 * sum(
        _field(f"/proc/{pid}/smaps_rollup", "Pss_Anon:") for pid in with_children(pids)
    )


def descriptors(pids):
    """How many files and sockets are open."""
    count = 0
    for pid in with_children(pids):
        try:
            count += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        except FileNotFoundError:
            continue
    return count


def kernel_bytes():
    """
    Memory in the kernel that grows with sockets: its objects, and what TCP has buffered.

    Other things grow and shrink there, too, by some megabytes: measure many sockets at once.
    """
    return 1024 * _field("/proc/meminfo", "Slab:") + _PAGE * _tcp_pages()


def _stat(pid):
    """The fields behind a process's name, None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _cpu_seconds(pid):
    fields = _stat(pid)
    if fields is None:
        return 0.0
    try:
        # What clock_getcpuclockid(3) returns for a process: Python has it for threads only.
        own = time.clock_gettime((~pid << 3) | 2)
    except OSError:
        own = 0.0
    return own + (int(fields[13]) + int(fields[14])) / _TICKS


def _field(path, name):
    """A number of a file of the kernel's with a name at each line, 0 if the file is gone."""
    try:
        lines = Path(path).read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _tcp_pages():
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1])
    return 0
