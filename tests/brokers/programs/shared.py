"""
Publishes and listens as one of two users who share a file, or fails to.

Says what it does; each line that it reads lets it go on.
"""

import asyncio
import os
import select
import socket
import sys
from pathlib import Path

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import Retention, open_broker
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.brokers.sqlite.doorbell import Doorbell, ring
from heliograph.brokers.sqlite.private_files import make_folder

RETENTION = Retention(events=9, seconds=60)


def say(*words):
    print(*words, flush=True)


def line():
    return sys.stdin.readline().strip()


async def share(url):
    ear = RecordingListener()
    broker = open_broker(url)
    try:
        await broker.open(ear)
        await broker.listen("a")
    except (ConfigError, BrokerUnavailableError) as error:
        say(type(error).__name__, error)
        return
    say("listening", broker._bell is not None)
    line()
    await broker.append("a", Event(f"from {os.getuid()}"))
    say(*sorted(entry.event.data for entry in await ear.wait_for_entries(2)))
    line()
    await broker.close()
    say("closed")


async def lose_bells(path):
    ear = RecordingListener()
    broker = SqliteBroker(path, RETENTION)
    await broker.open(ear)
    await broker.listen("a")
    bells = Path(f"{path}-bells")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(bells / "dead"))
    os.chmod(bells, 0o500)  # noqa: PTH101 - nothing else runs here
    await broker.append("a", Event("x"))
    say("stored", len(await ear.wait_for_entries(1)))
    await broker.close()
    say("closed", len(os.listdir(bells)))


def say_when_connecting():
    def hook(event, _):
        if event == "sqlite3.connect":
            say("connecting")

    sys.addaudithook(hook)


def hang(folder, mode):
    bell = Doorbell(Path(folder), int(mode, 8))
    say("hung")
    readable, _, _ = select.select([bell], [], [], 30)
    say("rung" if readable else "not rung")
    line()
    bell.close()


def main(user, own_group, shared_group, umask, role, *arguments):
    os.umask(int(umask, 8))
    os.setgroups([int(shared_group)])
    os.setgid(int(own_group))
    os.setuid(int(user))
    match role:
        case "share":
            asyncio.run(share(*arguments))
        case "share-step-by-step":
            say_when_connecting()
            asyncio.run(share(*arguments))
        case "lose-bells":
            asyncio.run(lose_bells(*arguments))
        case "make":
            make_folder(Path(arguments[0]))
            say("made")
        case "hang":
            hang(*arguments)
        case "ring":
            ring(Path(arguments[0]), int(arguments[1], 8), ["a"])
            left = os.listdir(arguments[0])
            say("rang", len(left))


# Imported while that is still allowed: the interpreter may be root's.
assert SqliteBroker
main(*sys.argv[1:])
