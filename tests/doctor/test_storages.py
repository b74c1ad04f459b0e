"""The doctor at an application that shares a real Redis, with bounds of its own."""

from examining import PAGE, ills
from heliograph import HubConfig, Publisher
from redises import RedisServer
from servers import gunicorn, serving

CONFIG = HubConfig(
    history_events=5, forget_seconds=600, history_seconds=300, retained_keys=2
)
ENV = {"APP_SSE_HISTORY_EVENTS": "5", "APP_SSE_MAX_CHANNELS": "1"}


def kept(publisher):
    return [event.data for event in publisher.history("sse", limit=100)]


def test_publishing_removes_nothing(tmp_path):
    """Neither at a channel's first event, which begins an epoch, nor when history is full."""
    redis = RedisServer(tmp_path / "redis")
    env = ENV | {"APP_SSE_URL": redis.url}
    with (
        serving(gunicorn("doctored:app", "--workers", "2"), tmp_path, env=env) as server,
        Publisher(redis.url, config=CONFIG) as publisher,
    ):
        options = {
            "url": f"http://127.0.0.1:{server.port}/stream",
            "broker": redis.url,
            "origin": PAGE,
        }
        first = ills(**options)
        for number in range(9):
            publisher.publish(number, channel="sse", retain=True, key=f"k{number % 2}")
        before = kept(publisher)
        then = ills(**options)

        assert (first, then) == ({}, {})
        assert before == ["4", "5", "6", "7", "8"]
        after = kept(publisher)
        assert after[:5] == before
        assert len(after) == 6
        assert [publisher.last("sse", key).data for key in ("k0", "k1")] == ["8", "7"]
    redis.kill()
