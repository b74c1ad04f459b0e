"""One Redis, one with replicas and Sentinels, a cluster; and the faults of each."""

from __future__ import annotations

import contextlib
import time

from redises import Cluster, RedisServer, Sentinel, wait_for

# Redis has to answer within socket_timeout, which is 5 seconds: some stops are longer.
LONGEST_STOP_SECONDS = 7.0


class _OnRedis:
    """What can be done to the connections of any Redis."""

    servers: list

    def cut_connections(self, chance):
        kinds = chance.choice([("normal",), ("pubsub",), ("normal", "pubsub")])
        for server in self.servers:
            with server.client() as client:
                for kind in kinds:
                    client.client_kill_filter(_type=kind, skipme=True)

    def flush_scripts(self, chance):
        with chance.choice(self.servers).client() as client:
            client.script_flush()

    def rewrite_log(self, chance):
        with chance.choice(self.servers).client() as client:
            client.bgrewriteaof()

    def stop(self):
        for server in self.servers:
            server.kill()


def _pause(server, chance):
    server.pause()
    time.sleep(chance.uniform(0.2, LONGEST_STOP_SECONDS))
    server.go_on()


def _kill(server, chance):
    server.kill()
    time.sleep(chance.uniform(0, 5))
    server.start()


class SingleRedis(_OnRedis):
    """One server that writes each change to disk."""

    FAULTS = (
        "kill",
        "pause",
        "cut_connections",
        "flush_scripts",
        "rewrite_log",
        "refuse_writes",
    )

    def __init__(self, folder, replicas):
        del replicas
        self.servers = [RedisServer(folder)]
        self.url = self.servers[0].url

    def kill(self, chance):
        _kill(self.servers[0], chance)

    def pause(self, chance):
        _pause(self.servers[0], chance)

    def refuse_writes(self, chance):
        self.servers[0].set("min-replicas-to-write", "1")
        time.sleep(chance.uniform(0.2, 5))
        self.servers[0].set("min-replicas-to-write", "0")

    def settle(self):
        pass


class _Configured(RedisServer):
    """A server with a file, into which Sentinels write whom it replicates."""

    def command(self):
        config = self.folder / "redis.conf"
        if not config.exists():
            options = super().command()
            pairs = zip(options[::2], options[1::2], strict=True)
            empty = '""'
            lines = (f"{name[2:]} {value or empty}" for name, value in pairs)
            config.write_text("\n".join([*lines, ""]))
        return [str(config)]


class WatchedRedis(_OnRedis):
    """A primary with two replicas, and three Sentinels."""

    FAULTS = (
        "failover", "failover", "kill_primary", "kill_primary", "pause_primary",
        "kill_replica", "pause_replica", "kill_sentinel", "pause_sentinel",
        "cut_connections", "flush_scripts", "rewrite_log",
    )  # fmt: skip

    def __init__(self, folder, replicas):
        folder.mkdir()
        common = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10",
                  "--repl-diskless-sync-delay", "0")  # fmt: skip
        first = _Configured(folder / "0", *common)
        follow = ("--replicaof", f"127.0.0.1 {first.port}")
        self.servers = [
            first,
            *(_Configured(folder / str(n), *common, *follow) for n in (1, 2)),
        ]
        self.sentinels = [Sentinel(folder / f"s{n}", first.port, 2) for n in range(3)]
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/main?replicas={replicas}"

    def primary(self):
        """Return the server that all Sentinels name; :obj:`None` if they differ."""
        named = set()
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                named.add(int(client.sentinel_get_master_addr_by_name("main")[1]))
        found = [server for server in self.servers if server.port in named]
        return found[0] if len(named) == 1 else None

    def _is_settled(self):
        primary = self.primary()
        if primary is None:
            return False
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                others = client.sentinel_sentinels("main")
                replicas = client.sentinel_slaves("main")
            states = [one["flags"] for one in others] + [one["flags"] for one in replicas]
            if len(states) != 4 or any("down" in one or "disc" in one for one in states):
                return False
        with primary.client() as client:
            state = client.info("replication")
        replicas = [state.get("slave0"), state.get("slave1")]
        return state["role"] == "master" and all(
            one
            and one["state"] == "online"
            and one["offset"] + 20_000 > state["master_repl_offset"]
            for one in replicas
        )

    def settle(self):
        wait_for(self._is_settled)

    def _replica(self, chance):
        primary = self.primary()
        return chance.choice([one for one in self.servers if one is not primary])

    def failover(self, chance):
        before = self.primary()
        with chance.choice(self.sentinels).client() as client:
            client.execute_command("SENTINEL", "FAILOVER", "main")
        # It has only begun. A Sentinel gives it up after failover-timeout.
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.primary() not in {before, None}, 15)

    def kill_primary(self, chance):
        _kill(self.primary(), chance)

    def pause_primary(self, chance):
        _pause(self.primary(), chance)

    def kill_replica(self, chance):
        _kill(self._replica(chance), chance)

    def pause_replica(self, chance):
        _pause(self._replica(chance), chance)

    def kill_sentinel(self, chance):
        _kill(chance.choice(self.sentinels), chance)

    def pause_sentinel(self, chance):
        _pause(chance.choice(self.sentinels), chance)

    def stop(self):
        for sentinel in self.sentinels:
            sentinel.kill()
        super().stop()


class RedisCluster(_OnRedis):
    """Three primaries with a replica each."""

    FAULTS = (
        "failover", "failover", "kill_primary", "kill_primary", "pause_primary",
        "kill_replica", "pause_replica", "cut_connections", "flush_scripts", "rewrite_log",
    )  # fmt: skip

    def __init__(self, folder, replicas):
        self.cluster = Cluster(folder, replicas=1)
        self.servers = self.cluster.servers
        self.url = f"{self.cluster.url}?replicas={replicas}"

    def settle(self):
        wait_for(self._is_settled)

    def _is_settled(self):
        for server in self.servers:
            with server.client() as client:
                if client.cluster("INFO")["cluster_state"] != "ok":
                    return False
                nodes = client.cluster("NODES")
            if any("fail" in node["flags"] for node in nodes.values()):
                return False
        return self.cluster.is_replicated()

    def _primary(self, chance):
        return chance.choice(self.cluster.primaries())

    def _replica(self, chance):
        return self.cluster.replica_of(self._primary(chance))

    def failover(self, chance):
        with self._replica(chance).client() as client:
            client.execute_command("CLUSTER", "FAILOVER")
            with contextlib.suppress(AssertionError):
                wait_for(lambda: client.role()[0] == "master", 15)

    def kill_primary(self, chance):
        _kill(self._primary(chance), chance)

    def pause_primary(self, chance):
        _pause(self._primary(chance), chance)

    def kill_replica(self, chance):
        _kill(self._replica(chance), chance)

    def pause_replica(self, chance):
        _pause(self._replica(chance), chance)
