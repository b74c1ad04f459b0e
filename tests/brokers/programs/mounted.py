"""Mounts one path over another, for itself only, and opens a database there."""

import asyncio
import ctypes
import os
import sys

from heliograph import ConfigError, Event
from heliograph.brokers import open_broker
from heliograph.brokers.contract import RecordingListener

_CLONE_NEWNS, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = (
    0x20000,
    32,
    4096,
    16384,
    1 << 18,
)
_MS_RDONLY = 1

libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, flags):
    if libc.mount(os.fsencode(source), os.fsencode(target), None, flags, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


async def publish(path):
    broker = open_broker(f"sqlite:///{path}")
    try:
        await broker.open(RecordingListener())
    except ConfigError as error:
        print("ConfigError", error)
        return
    print("stored", (await broker.append("a", Event("x"))).position.offset)
    await broker.close()


def main(path, source, target, *options):
    if libc.unshare(_CLONE_NEWNS):
        print("cannot mount")
        return
    mount("none", "/", _MS_REC | _MS_PRIVATE)
    mount(source, target, _MS_BIND)
    if "read-only" in options:
        mount(source, target, _MS_BIND | _MS_REMOUNT | _MS_RDONLY)
    asyncio.run(publish(path))


main(*sys.argv[1:])
