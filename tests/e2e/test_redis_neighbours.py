"""Other programs on the same Redis: Flask-SSE, pasted generators, redis-cli, workers."""

import contextlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from redises import RedisServer, wait_for
from servers import Stream, gunicorn, serving


@pytest.fixture
def redis_server(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


@contextlib.contextmanager
def old(redis_server, tmp_path):
    """Flask-SSE as its documentation has it, with threads, since each stream takes one."""
    command = gunicorn("old:app", "--threads", "8", "--graceful-timeout", "1")
    with serving(command, tmp_path, env={"REDIS_URL": redis_server.url}) as server:
        yield server


@contextlib.contextmanager
def new(redis_server, tmp_path, compat='["sse"]', workers=2, prefix="heliograph:", **env):
    env |= {
        "APP_SSE_URL": f"{redis_server.url}?prefix={prefix}",
        "APP_SSE_FLASK_SSE_COMPAT": compat,
    }
    command = gunicorn("plain:app", "--workers", str(workers))
    with serving(command, tmp_path, env=env) as server:
        yield server


def post(server, fields):
    response = server.get(
        "/publish", "POST", {"Content-Type": "application/json"}, json.dumps(fields)
    )
    assert response.status == 200, response.text
    return response.text


def later(pool, server, path):
    """Open a stream of Flask-SSE's, which sends no head before its first event."""
    return pool.submit(Stream, server.port, path)


def wait_for_subscribers(redis_server, channel, count):
    with redis_server.client() as client:
        wait_for(lambda: client.pubsub_numsub(channel)[0][1] == count)


def seen(stream, count):
    return [(event.type, event.data) for event in stream.wait(count)]


def test_a_fleet_that_is_half_moved(redis_server, tmp_path):
    """Whoever publishes, old and new streams show the same, each event once."""
    with (
        old(redis_server, tmp_path) as old_server,
        new(redis_server, tmp_path) as new_server,
        ThreadPoolExecutor() as pool,
    ):
        streams = [new_server.stream("/stream?channel=sse").placed() for _ in range(6)]
        # A process of ours has one subscription, however many streams it serves.
        with redis_server.client() as client:
            ours = client.pubsub_numsub("sse")[0][1]
        assert 1 <= ours <= 2
        older = later(pool, old_server, "/stream")
        wait_for_subscribers(redis_server, "sse", ours + 1)

        post(
            old_server,
            {"data": {"b": 1, "a": "é\u2028"}, "type": "t", "id": "7", "retry": 5},
        )
        place = post(new_server, {"n": 1})
        post(old_server, {"data": "plain\ntext"})
        post(new_server, {"n": 2})

        expected = [
            ("t", '{"a": "\\u00e9\\u2028", "b": 1}'),
            ("message", '{"n": 1}'),
            ("message", "plain\ntext"),
            ("message", '{"n": 2}'),
        ]
        assert seen(older.result(), 4) == expected
        for stream in streams:
            assert seen(stream, 4) == expected

        # What has a place is given again after a reconnect, what has none is not.
        with new_server.stream("/stream?channel=sse", last_event_id=place) as again:
            post(new_server, {"n": 3})
            assert seen(again, 2) == [("message", '{"n": 2}'), ("message", '{"n": 3}')]
        for stream in streams:
            assert seen(stream, 5)[4] == ("message", '{"n": 3}')
            assert len(stream.events) == 5


def test_redis_cli(redis_server, tmp_path):
    """Any program can publish; what is none of Flask-SSE's messages is skipped, and said."""

    def cli(message):
        subprocess.run(
            ["redis-cli", "-p", str(redis_server.port), "PUBLISH", "sse", message],
            check=True,
            capture_output=True,
        )

    with new(redis_server, tmp_path, workers=1) as server:
        stream = server.stream("/stream?channel=sse").placed()
        for message in (
            "junk",
            "5",
            '{"data": 1, "odd": 2}',
            '{"data": 1, "type": "a\\nb"}',
            "[" * 9999,
        ):
            cli(message)
        cli('{"data": "from a shell", "type": "news"}')
        cli('{"data": {"x": [1, null]}}')

        assert seen(stream, 2) == [
            ("news", "from a shell"),
            ("message", '{"x": [1, null]}'),
        ]
        assert server.log_text().count("channel 'sse': skipped a message") == 1


def test_the_pasted_generator(redis_server, tmp_path):
    """With the data alone on the plain channel, both ways."""
    with (
        old(redis_server, tmp_path) as old_server,
        new(
            redis_server, tmp_path, compat="past*", workers=1, APP_SSE_PLAIN_FORMAT="text"
        ) as server,
        ThreadPoolExecutor() as pool,
    ):
        stream = server.stream("/stream?channel=pasted").placed()
        older = later(pool, old_server, "/pasted")
        wait_for_subscribers(redis_server, "pasted", 2)

        with redis_server.client() as client:
            client.publish("pasted", "written by hand")
        response = server.get(
            "/publish?channel=pasted",
            "POST",
            {"Content-Type": "application/json"},
            '"ours"',
        )
        assert response.status == 200

        expected = [("message", "written by hand"), ("message", "ours")]
        assert seen(stream, 2) == expected
        assert seen(older.result(), 2) == expected


def test_without_compat(redis_server, tmp_path):
    """Plain channels are not listened to, nor published on."""
    with new(redis_server, tmp_path, compat="false", workers=1) as server:
        stream = server.stream("/stream?channel=sse").placed()
        with redis_server.client() as client:
            assert client.pubsub_numsub("sse") == [("sse", 0)]
            plain = client.pubsub()
            plain.subscribe("sse")
            assert plain.get_message(timeout=5)["type"] == "subscribe"
            post(server, 1)
            assert seen(stream, 1) == [("message", "1")]
            assert plain.get_message(timeout=0.2) is None
            plain.close()


# What a visitor may ask for, and somebody publishes on that channel of Redis.
NOT_EXCHANGED = [
    "__keyspace@0__:user:1",
    "__keyevent@0__:set",
    "__redis__:invalidate",
    "__sentinel__:hello",
    "shop:{orders}:live",
    "shop:alive",
    "heliograph:{orders}:live",
    "heliograph:alive",
    "not listed",
    "se",
    "sse2",
]


def test_what_a_visitor_may_not_overhear(redis_server, tmp_path):
    """However open the patterns are: nothing comes through, and nothing is subscribed to."""
    redis_server.set("notify-keyspace-events", "KEA")
    patterns = '["sse", "chat*", "_*", "*:*"]'
    with (
        new(redis_server, tmp_path, compat=patterns, workers=1) as server,
        redis_server.client() as client,
        contextlib.ExitStack() as stack,
    ):
        streams = {
            name: stack.enter_context(
                server.stream(f"/stream?channel={quote(name)}")
            ).placed()
            for name in [*NOT_EXCHANGED, "chat 1"]
        }
        assert "chat 1" in client.pubsub_channels()
        # Heliograph's own connection listens to the second, as it does without visitors.
        listened = set(client.pubsub_channels()) - {"heliograph:alive"}
        assert listened.isdisjoint(NOT_EXCHANGED)

        client.set("user:1", "secret")
        for name in streams:
            client.publish(name, '{"data": "secret"}')
            client.publish(name, "e 1 0 t - " + '{"data": "secret"}')
            server.get(
                f"/publish?channel={quote(name)}",
                "POST",
                {"Content-Type": "application/json"},
                '"ours"',
            )
        for name, stream in streams.items():
            expected = ["secret", "ours"] if name == "chat 1" else ["ours"]
            assert [event.data for event in stream.wait(len(expected))] == expected
        for _ in range(20):
            client.publish("chat 1", "junk")
        client.publish("chat 1", '{"data": "after"}')
        assert streams["chat 1"].wait(3)[2].data == "after"
        log = server.log_text()
        assert log.count("skipped") == log.count("'chat 1': skipped") == 1


def test_visitors_store_nothing(redis_server, tmp_path):
    """Streams of channels that nobody publishes to leave no key behind."""
    redis_server.set("maxmemory-policy", "noeviction")
    with (
        new(redis_server, tmp_path, compat="false") as server,
        redis_server.client() as client,
    ):
        post(server, "before")
        redis_server.set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
        for visit in range(40):
            names = "&".join(f"channel=r{visit}-{n}" for n in range(64))
            with server.stream(f"/stream?{names}") as stream:
                stream.placed()
        with server.stream() as stream:
            stream.placed()
            post(server, "after")
            assert seen(stream, 1) == [("message", "after")]
        assert client.dbsize() < 8, set(client.scan_iter())


def test_two_applications(redis_server, tmp_path):
    """Under different prefixes they do not meet, though their channels have one name."""
    with (
        new(redis_server, tmp_path, compat="false", prefix="one:") as one,
        new(redis_server, tmp_path, compat="false", prefix="two:") as two,
    ):
        streams = {server: server.stream().placed() for server in (one, two)}
        post(one, "for one")
        post(two, "for two")

        assert seen(streams[one], 1) == [("message", "for one")]
        assert seen(streams[two], 1) == [("message", "for two")]
        one.get("/disconnect?channel=sse", "POST")
        streams[one].ended()
        post(two, "still here")
        assert seen(streams[two], 2)[1] == ("message", "still here")
        with redis_server.client() as client:
            assert {key.partition(":")[0] for key in client.scan_iter()} == {"one", "two"}


WORKER = """
import os
from flask import Flask
from heliograph.flask import sse

app = Flask(__name__, instance_path=os.environ["INSTANCE"])
app.config["SSE_URL"] = os.environ["URL"]
app.register_blueprint(sse, url_prefix="/stream")

def task(n):
    sse.publish({"done": n}, type="progress")

if os.fork() == 0:  # as a pool of workers does
    for n in range(50):
        task(n)
else:
    assert os.wait()[1] == 0
"""


def test_a_worker_of_another_program(redis_server, tmp_path):
    """A task queue publishes from processes of its own, which it forks."""
    with new(redis_server, tmp_path, compat="false", workers=1) as server:
        stream = server.stream().placed()
        subprocess.run(
            [sys.executable, "-c", WORKER],
            check=True,
            env={"URL": redis_server.url, "INSTANCE": str(tmp_path), "PATH": ""},
        )

        assert seen(stream, 50) == [("progress", f'{{"done": {n}}}') for n in range(50)]


@pytest.mark.timeout(180)
def test_many_streams_on_few_connections(redis_server, tmp_path):
    """A thousand streams over a hundred channels: three connections for each process."""
    with new(redis_server, tmp_path, compat="false", workers=2) as server:
        streams = [
            server.stream(f"/stream?channel=c{n % 100}").placed() for n in range(1000)
        ]
        serving_processes = {
            json.loads(server.get("/statistics").text)["pid"] for _ in range(50)
        }
        with redis_server.client() as client:
            connections = len(client.client_list()) - 1
        assert connections == 3 * 2, serving_processes

        for n in range(100):
            response = server.get(
                f"/publish?channel=c{n}",
                "POST",
                {"Content-Type": "application/json"},
                str(n),
            )
            assert response.status == 200
        for n, stream in enumerate(streams):
            assert seen(stream, 1) == [("message", str(n % 100))]


def test_a_mistake_is_an_error_of_the_first_request(redis_server, tmp_path):
    """It says what is wrong; nothing else of the application is harmed."""
    env = {"APP_SSE_URL": f"{redis_server.url}/99"}
    with serving(gunicorn("plain:app"), tmp_path, env=env) as server:
        assert server.get("/stream").status == 500
        assert server.get("/ping").text == "pong"
        assert "there is no such database" in server.log_text()
