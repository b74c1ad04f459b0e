"""Doorbells wake other processes, and those of dead processes are removed."""

import socket

from sqlite_files import opened

from heliograph import Event


async def test_stale_bells_are_removed(path):
    """A bell of a process that was killed is taken down by the next ring."""
    bells = path.with_name(f"{path.name}-bells")
    bells.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(bells / "dead"))
    (bells / "file").write_text("not a socket")

    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        names = {found.name for found in bells.iterdir()}

    assert "dead" not in names
    assert len(names) == 2 - ("file" not in names)
