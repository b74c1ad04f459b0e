"""Redis servers of the tests' own: alone, with Sentinels, in a cluster; with TLS."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from servers import free_port

# Nobody waits long for a server that a test has killed.
_FAILOVER_MS = "1000"


# All that were started: whatever is left is ended by conftest.py.
processes = []


class RedisServer:
    """A server that can be killed and started again with what it has kept."""

    def __init__(self, folder, *options, program="redis-server", port=None):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.program = program
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.options = options
        self.log = self.folder / f"{self.port}.log"
        self.process = None
        self.start()

    def start(self, *, waits=True):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, *self.command()], stdout=log, stderr=log, cwd=self.folder
            )
        processes.append(self.process)
        if waits:
            until_answers(self)

    def command(self):
        return ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                "--appendonly", "yes", "--appendfsync", "always", "--save", "", *self.options]  # fmt: skip

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def load_slowly(self, keys, delay_us):
        """Restart with so many keys more, each of which takes so long to load; do not wait."""
        with self.client() as client:
            # Not compressible: Redis answers after each kilobyte that it has read.
            client.mset({f"loaded:{n}": os.urandom(2000) for n in range(keys)})
            client.bgrewriteaof()
            wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        self.kill()
        options, self.options = self.options, (
            *self.options, "--key-load-delay", str(delay_us),
            "--loading-process-events-interval-bytes", "1024",
        )  # fmt: skip
        self.start(waits=False)
        self.options = options

    def is_loading(self):
        """Say whether it cannot be used yet after a start."""
        with self.client() as client:
            try:
                client.ping()
            except (redis.RedisError, OSError):
                return True
        return False

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def client(self, **options):
        return redis.Redis(
            port=self.port,
            decode_responses=True,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            # The driver's own would do for a test, and not for one beside many others.
            socket_timeout=60,
            **options,
        )

    def is_replicated(self):
        """Say whether a replica has all that was written until now, within some seconds."""
        with self.client() as client:
            written = client.info("replication")["master_repl_offset"]
            # They say so once a second. WAIT asks about writes of its own connection only.
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                replica = client.info("replication").get("slave0")
                if (
                    replica
                    and replica["state"] == "online"
                    and replica["offset"] >= written
                ):
                    return True
                time.sleep(0.05)
        return False

    def set(self, name, value):
        with self.client() as client:
            client.config_set(name, value)


def until_answers(server):
    deadline = time.monotonic() + 20
    with server.client() as client:
        while True:
            try:
                client.ping()
            except (redis.AuthenticationError, redis.ResponseError):
                return  # it answers, if not to everyone
            except (redis.RedisError, OSError):
                assert server.process.poll() is None, server.log.read_text()
                assert time.monotonic() < deadline, server.log.read_text()
                time.sleep(0.01)
            else:
                return


class Sentinel(RedisServer):
    """One that watches a primary."""

    def __init__(self, folder, primary_port, quorum, *options):
        folder.mkdir(exist_ok=True)
        self.config = folder / "sentinel.conf"
        self.config.write_text(
            f"sentinel monitor main 127.0.0.1 {primary_port} {quorum}\n"
            f"sentinel down-after-milliseconds main {_FAILOVER_MS}\n"
            "sentinel failover-timeout main 3000\n"
        )
        super().__init__(folder, *options)

    def command(self):
        return [str(self.config), "--sentinel", "--port", str(self.port),
                "--bind", "127.0.0.1", "--dir", str(self.folder), *self.options]  # fmt: skip


class Watched:
    """
    A primary, replicas and three Sentinels.

    ``min_replicas``: without so many a primary takes nothing.
    """

    def __init__(self, folder, replicas=1, sentinels=3, min_replicas=0):
        folder.mkdir(exist_ok=True)
        self.options = ("--min-replicas-to-write", str(min_replicas))
        self.servers = [RedisServer(folder / "0", *self.options)]
        for n in range(replicas):
            self.servers.append(
                RedisServer(
                    folder / str(n + 1), *self.options, "--replicaof", f"127.0.0.1 {self.servers[0].port}",
                    "--repl-diskless-sync-delay", "0",
                )
            )  # fmt: skip
        for server in self.servers:
            server.set("repl-diskless-sync-delay", "0")
        quorum = sentinels // 2 + 1
        self.sentinels = [
            Sentinel(folder / f"s{n}", self.servers[0].port, quorum)
            for n in range(sentinels)
        ]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/main"
        self.until_watched(replicas)

    def until_watched(self, replicas):
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                wait_for(lambda: client.sentinel_master("main")["num-slaves"] >= replicas)
                wait_for(
                    lambda: (
                        client.sentinel_master("main")["num-other-sentinels"]
                        == len(self.sentinels) - 1
                    )
                )
        with self.primary().client() as client:
            wait_for(lambda: client.info("replication")["connected_slaves"] == replicas)
        if replicas:
            wait_for(self._is_replicated)

    def primary(self):
        """The server that the Sentinels name."""
        with self.sentinels[0].client() as client:
            _, port = client.sentinel_get_master_addr_by_name("main")
        (found,) = [server for server in self.servers if server.port == int(port)]
        return found

    def come_back(self, server):
        """Start a server that was the primary as a replica of the one that is now."""
        # Sentinels would write it into its configuration file, if it had one.
        primary = f"127.0.0.1 {self.primary().port}"
        server.options = (*self.options, "--replicaof", primary)
        server.start()
        wait_for(self._is_replicated)

    def _is_replicated(self):
        # Sentinels may have another one by now.
        return self.primary().is_replicated()

    def kill(self):
        for server in (*self.sentinels, *self.servers):
            server.kill()


class Cluster:
    """Three primaries, each with so many replicas."""

    def __init__(self, folder, replicas=0, program="redis-server", *, one_port=False):
        folder.mkdir(exist_ok=True)
        count = 3 * (1 + replicas)
        self.servers = [
            RedisServer(
                folder / str(n), "--cluster-enabled", "yes", "--cluster-node-timeout",
                _FAILOVER_MS, "--repl-diskless-sync-delay", "0",
                *(() if one_port else ("--cluster-port", str(free_port()))), program=program,
                port=low_port() if one_port else None,
            )
            for n in range(count)
        ]  # fmt: skip
        self.url = f"redis+cluster://127.0.0.1:{self.servers[0].port}"
        subprocess.run(
            ["redis-cli", "--cluster", "create",
             *(f"127.0.0.1:{server.port}" for server in self.servers),
             "--cluster-replicas", str(replicas), "--cluster-yes"],
            check=True, capture_output=True,
        )  # fmt: skip
        for server in self.servers:
            with server.client() as client:
                wait_for(lambda: client.cluster("INFO")["cluster_state"] == "ok")
        if replicas:
            wait_for(self.is_replicated)

    def is_replicated(self):
        """Say whether each primary has a replica that has everything."""
        primaries = self.primaries()
        return len(primaries) == 3 and all(one.is_replicated() for one in primaries)

    def primaries(self):
        return [server for server in self.servers if self._role(server) == "master"]

    def replica_of(self, primary):
        """Give the replica of a primary that has only one."""
        with primary.client() as client:
            ((_, port, _),) = client.role()[2]
        (found,) = (server for server in self.servers if server.port == int(port))
        return found

    def _role(self, server):
        if server.process.poll() is not None:
            return "gone"
        with server.client() as client:
            return client.role()[0]

    def flush(self):
        for server in self.primaries():
            with server.client() as client:
                client.flushall()

    def kill(self):
        for server in self.servers:
            server.kill()


def low_port():
    """Give a free port whose bus, ten thousand above it, is free, too: for old servers."""
    while True:
        port = random.randint(15_000, 20_000)
        with contextlib.suppress(OSError):
            for one in (port, port + 10_000):
                socket.create_server(("127.0.0.1", one)).close()
            return port


# A Sentinel that was held up for two seconds does nothing for thirty.
def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(redis.RedisError, KeyError):
            if condition():
                return
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def certificates(folder):
    """Make an authority, and a certificate for 127.0.0.1 that it has signed; give the files."""
    folder.mkdir(exist_ok=True)
    openssl = shutil.which("openssl")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")

    def run(*arguments):
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
        "-subj", "/CN=authority", "-days", "2")  # fmt: skip
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "one.key", "-out", "one.csr",
        "-subj", "/CN=127.0.0.1")  # fmt: skip
    run("x509", "-req", "-in", "one.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "one.crt", "-days", "2", "-extfile", "names")  # fmt: skip
    return {name: folder / name for name in ("ca.crt", "one.crt", "one.key")}
