"""
Events through Redis: Heliograph beside Flask-SSE, on one Redis, in one run.

How many publishes a second, from one thread and from a hundred; how late an event is at a
browser's end of a stream; how many connections a thousand streams cost Redis, and how much
memory they cost it and the server. Both serve from one gunicorn worker with threads;
Flask-SSE is given one for each stream, since it needs that.

    python bench/redis.py [--streams 1000] [--seconds 3]

The two do not do the same: Flask-SSE stores nothing, and its events are gone for who is
not there. Machines are noisy: read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

# This file has the driver's name, and its folder comes first.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]

import flask_sse  # noqa: E402 - see above
import redis  # noqa: E402

from flask import Flask  # noqa: E402
from heliograph.flask import SSE  # noqa: E402

APP = """
import os
from flask import Flask
{imports}
app = Flask(__name__, instance_path=os.environ["FOLDER"])
app.config["SSE_REDIS_URL"] = os.environ["URL"]
app.register_blueprint(sse, url_prefix="/stream")

@app.get("/ping")
def ping():
    return "pong"
"""
IMPORTS = {
    "heliograph": "from heliograph.flask import sse",
    "flask-sse": "from flask_sse import sse",
}
PADDING = "x" * 40
EVENTS_PER_SECOND = 50


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def redis_server(folder):
    port = free_port()
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder,
         "--save", "", "--appendonly", "no", "--maxclients", "4000"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    client = redis.Redis(port=port, decode_responses=True)
    try:
        while True:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
        yield f"redis://127.0.0.1:{port}", client
    finally:
        client.close()
        process.kill()
        process.wait()


@contextlib.contextmanager
def gunicorn(name, url, folder, threads):
    (folder / f"{name.replace('-', '_')}_app.py").write_text(
        APP.format(imports=IMPORTS[name])
    )
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", f"{name.replace('-', '_')}_app:app",
         "--bind", f"127.0.0.1:{port}", "--threads", str(threads), "--no-control-socket",
         "--worker-connections", "4000", "--log-level", "error", "--graceful-timeout", "1"],
        cwd=folder, env={**os.environ, "URL": url, "FOLDER": str(folder)},
    )  # fmt: skip
    try:
        while True:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/ping")
                connection.getresponse().read()
                connection.close()
                break
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        yield port, int(children.split()[0])
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def publisher(name, url, folder):
    """Give what publishes in this process."""
    app = Flask(__name__, instance_path=str(folder))
    app.config["SSE_REDIS_URL"] = url
    if name == "heliograph":
        sse = SSE(app)
        yield sse.publish
        app.extensions["heliograph"].hub.close()
        return

    def publish(data):
        with app.app_context():
            flask_sse.sse.publish(data)

    yield publish


def publishes_per_second(publish, threads, seconds):
    counts, ended = [0] * threads, threading.Event()

    def run(n):
        while not ended.is_set():
            publish({"n": counts[n], "p": PADDING})
            counts[n] += 1

    running = [threading.Thread(target=run, args=(n,)) for n in range(threads)]
    began = time.monotonic()
    for thread in running:
        thread.start()
    time.sleep(seconds)
    ended.set()
    for thread in running:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def connect(port, count):
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n")
        clients.append(client)
    return clients


def latencies(port, streams, publish, seconds):
    """Give how late each event was at each stream, in milliseconds."""
    clients = connect(port, streams)
    time.sleep(1)
    # Flask-SSE sends no head before its first event.
    publish({"t": 0})
    time.sleep(0.5)
    selector = selectors.DefaultSelector()
    for client in clients:
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ, bytearray())
    late, ended = [], threading.Event()

    def receive():
        while not ended.is_set():
            for key, _ in selector.select(0.1):
                key.data.extend(key.fileobj.recv(1 << 16))
                now = time.monotonic_ns()
                *blocks, rest = bytes(key.data).split(b"\n\n")
                key.data[:] = rest
                for block in blocks:
                    start = block.find(b'"t": ')
                    if start < 0:
                        continue
                    sent = int(block[start + 5 :].split(b"}")[0])
                    if sent:
                        late.append((now - sent) / 1e6)

    receiving = threading.Thread(target=receive)
    receiving.start()
    for _ in range(int(seconds * EVENTS_PER_SECOND)):
        publish({"p": PADDING, "t": time.monotonic_ns()})
        time.sleep(1 / EVENTS_PER_SECOND)
    time.sleep(1)
    ended.set()
    receiving.join()
    for client in clients:
        client.close()
    expected = int(seconds * EVENTS_PER_SECOND) * streams
    assert len(late) == expected, f"{len(late)} of {expected} arrived"
    return late


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


def cost_of_streams(port, pid, client, streams):
    """Give Redis's connections and memory, and the worker's memory, for so many streams."""
    before = (
        len(client.client_list()),
        client.info("memory")["used_memory"],
        resident_bytes(pid),
    )
    clients = connect(port, streams)
    connections = -1
    while connections != (connections := len(client.client_list())):
        time.sleep(3)
    after = (
        len(client.client_list()),
        client.info("memory")["used_memory"],
        resident_bytes(pid),
    )
    for one in clients:
        one.close()
    return [b - a for a, b in zip(before, after, strict=True)]


def bytes_per_channel(url, client, folder):
    """Give what a channel costs Redis, by the number of its events of some 60 bytes."""
    app = Flask(__name__, instance_path=str(folder))
    app.config["SSE_URL"] = f"{url}?prefix=m:"
    sse = SSE(app)
    costs = {}
    for events in (1, 100, 1000):
        client.flushall()
        before = client.info("memory")["used_memory"]
        channels = max(1000 // events, 10)
        for channel in range(channels):
            for n in range(events):
                sse.publish({"n": n, "p": PADDING}, channel=f"c{channel}")
        costs[events] = (client.info("memory")["used_memory"] - before) / channels
    app.extensions["heliograph"].hub.close()
    return costs


def show(what, ours, theirs, unit, *, more_is_better):
    ratio = ours / theirs if more_is_better else theirs / ours
    print(f"{what:<42} {ours:>10.1f} {theirs:>10.1f} {unit:<10} {ratio:>7.1f}x")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name, redis_server(name) as (url, client):
        folder = Path(name)
        version = client.info("server")["redis_version"]
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores, Redis {version}"
        )
        for who in IMPORTS:
            client.flushall()
            with publisher(who, url, folder) as publish:
                publish("first")
                rates = {
                    threads: [
                        publishes_per_second(publish, threads, options.seconds)
                        for _ in range(3)
                    ]
                    for threads in (1, 100)
                }
                with gunicorn(who, url, folder, 60) as (port, _):
                    late = {
                        count: latencies(port, count, publish, 2 * options.seconds)
                        for count in (1, 50)
                    }
            with gunicorn(who, url, folder, options.streams + 10) as (port, pid):
                cost = cost_of_streams(port, pid, client, options.streams)
            found[who] = rates, late, cost
        per_channel = bytes_per_channel(url, client, folder)
    (rates, late, cost), (their_rates, their_late, their_cost) = found.values()
    print(f"\n{'':<42} {'heliograph':>10} {'flask-sse':>10}")
    for threads in (1, 100):
        show(f"publishes/s, {threads} thread(s), median of 3",
             statistics.median(rates[threads]), statistics.median(their_rates[threads]),
             "/s", more_is_better=True)  # fmt: skip
        print(f"{'  spread':<42} {max(rates[threads]) - min(rates[threads]):>10.1f}"
              f" {max(their_rates[threads]) - min(their_rates[threads]):>10.1f}")  # fmt: skip
    for count in (1, 50):
        for percent in (50, 99):
            ours, theirs = (
                statistics.quantiles(one[count], n=100)[percent - 1]
                for one in (late, their_late)
            )
            show(f"latency p{percent}, {count} stream(s)", ours, theirs, "ms",
                 more_is_better=False)  # fmt: skip
    what = ["connections to Redis", "memory of Redis", "memory of the worker"]
    for n, one in enumerate(what):
        scale, unit = (1, "") if n == 0 else (1e6, "MB")
        show(f"{one}, {options.streams} streams", max(cost[n], 1) / scale,
             max(their_cost[n], 1) / scale, unit, more_is_better=False)  # fmt: skip
    print("\nmemory of Redis per channel, Heliograph:", json.dumps(
        {f"{events} events": f"{cost:.0f} bytes" for events, cost in per_channel.items()}
    ))  # fmt: skip


if __name__ == "__main__":
    main()
