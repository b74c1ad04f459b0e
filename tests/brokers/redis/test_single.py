"""A primary that Sentinels name is lost: its replica takes over."""

import asyncio

import pytest
from on_redis import appended, opened

from heliograph import Event
from heliograph.brokers.contract import RecordingListener
from redises import Watched, wait_for


@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_failover(tmp_path, how):
    """
    A replica takes over: with ``replicas=1`` all that was published reaches everyone.

    A primary that only hung returns as a replica, and no connection stays with it.
    """
    watched = Watched(tmp_path / "watched")
    ear = RecordingListener()
    url = f"{watched.url}?replicas=1&socket_timeout=1"
    try:
        async with (
            opened(url, ear) as here,
            opened(watched.url + "?socket_timeout=1") as there,
        ):
            await here.listen("a")
            for n in range(20):
                await here.append("a", Event(f"before {n}"))
            first = watched.primary()
            getattr(first, how)()
            await asyncio.to_thread(wait_for, lambda: watched.primary() is not first)
            if how == "pause":
                first.go_on()
            for n in range(20):
                await appended(there, "a", Event(f"after {n}"))

            await ear.wait_for_entries(40)

            assert ear.offsets("a") == list(range(1, 41))
            assert (ear.restarts, len(ear.renamed)) == ([], 1)
            assert ear.entries[-1].event.data == "after 19"
    finally:
        watched.kill()
