"""
All clients on all ways of serving, at once.

The clients of a language run in one process, which is started once. Each client has a channel
of its own, and a relay between it and the server.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path

import httpx
from client_relay import Relay
from client_trial import CLIENTS, Trial

from fetched import FOLDER

HERE = Path(__file__).parent

# The browser has to start, and so have all its pages.
_JOIN_SECONDS = 120


class Runner:
    """
    A program with clients: commands in, lines out.

    Args:
        process: It runs.
    """

    def __init__(self, process):
        self._process = process
        self._listeners = {}
        self._reading = asyncio.create_task(self._read())

    def start(self, of, listener, command):
        """Start a client. Each line about it, which says ``of``, is handed to ``listener``."""
        self._listeners[of] = listener
        self._process.stdin.write(json.dumps({"of": of, **command}).encode() + b"\n")

    async def _read(self):
        while line := await self._process.stdout.readline():
            what = json.loads(line)
            self._listeners[what.pop("of")](what)


@contextlib.asynccontextmanager
async def runners(files, log, env):
    """Run the programs, with the packages that they need; by name."""
    node = files / "in_node.mjs"
    node.write_bytes((HERE / "in_node.mjs").read_bytes())
    (files / "node_modules").symlink_to("modules")
    commands = {
        "browser": [sys.executable, HERE / "in_browser.py"],
        "python": [sys.executable, HERE / "in_python.py"],
        "node": ["node", node],
        "go": [FOLDER / "client-in-go"],
    }
    processes = {}
    with log.open("ab") as errors:
        for name, command in commands.items():
            processes[name] = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **env, "PYTHONPATH": str(HERE.parent)},
            )
    try:
        yield {name: Runner(process) for name, process in processes.items()}
    finally:
        # The browser is closed at the end of its commands. The others have nothing to close.
        for name, process in processes.items():
            process.stdin.close()
            if name != "browser":
                process.kill()
        for process in processes.values():
            await process.wait()


async def try_all(ways, files, log, env, names=tuple(CLIENTS)):
    """
    Try clients on each of the ways that are being served.

    Args:
        ways: The ways, as :func:`client_ways.served` returns them.
        files: The folder with pages and modules.
        log: A file for what the programs write to their error output.
        env: More for the environment of the programs.
        names: Which clients.

    Returns:
        The outcomes by the name of the way and of the client.
    """
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=0)
    async with (
        runners(files, log, env) as programs,
        # The test has a limit. Waiting for one of few connections has none of its own: all
        # trials publish at the same time, and other tests may keep the machine busy.
        httpx.AsyncClient(
            limits=limits, timeout=httpx.Timeout(60, pool=None), trust_env=False
        ) as http,
        contextlib.AsyncExitStack() as stack,
    ):

        async def try_on(served):
            trials = {}
            for name in names:
                client = CLIENTS[name]
                if client.gzip or not served.way.gzip:
                    relay = await stack.enter_async_context(Relay(served.port))
                    trials[name] = Trial(name, served, relay, programs[client.runner], http)
                    trials[name].start()
            await _joined(served, trials, http)
            outcomes = await asyncio.gather(*(trial.run() for trial in trials.values()))
            return dict(zip(trials, outcomes, strict=True))

        found = {}
        # Half of them at a time: three hundred clients at once are late by themselves.
        for is_gzip in (False, True):
            group = [served for served in ways if bool(served.way.gzip) is is_gzip]
            outcomes = await asyncio.gather(*map(try_on, group))
            names_of = (served.way.name for served in group)
            found |= dict(zip(names_of, outcomes, strict=True))
    return found


async def _joined(served, trials, http):
    """Wait until as many streams are open as there are clients."""
    deadline = time.monotonic() + _JOIN_SECONDS
    url = f"http://127.0.0.1:{served.server.port}/statistics"
    while (found := (await http.get(url)).json()["subscribers"]) < len(trials):
        if time.monotonic() > deadline:
            said = {name: trial.reports() for name, trial in trials.items()}
            raise AssertionError(
                f"{served.way.name}: {found} of {len(trials)} listen; they say {said}"
            )
        await asyncio.sleep(0.05)
