"""A process that still uses a former primary, when a client knows what came later."""

import asyncio

import pytest
from on_redis import appended, opened

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.values import Terms
from redises import Watched, wait_for


def fail_over(watched):
    before = watched.primary()
    with watched.sentinels[0].client() as client:
        wait_for(lambda: client.execute_command("SENTINEL FAILOVER main"))
    # Until then it is still given events, which it would know.
    for sentinel in watched.sentinels:
        with sentinel.client() as client:
            wait_for(lambda: client.sentinel_master("main")["port"] != before.port)


async def answered(function):
    """Call until it answers, as a hub does."""
    while True:
        try:
            return await function()
        except BrokerUnavailableError:
            await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
async def test_a_former_primary(tmp_path):
    """
    What is newer than its head is not called unknown, and does not come again.

    Sentinels leave it a primary for some seconds after a failover.
    """
    watched = Watched(tmp_path / "watched", replicas=2, min_replicas=1)
    url = f"{watched.url}?replicas=all"
    ear = RecordingListener()
    try:
        # Only what is read shows that it is not the right server.
        async with opened(url, ear, silence_seconds=60) as here:
            await here.listen("a")
            await here.append("a", Event("0"))
            await here.append("b", Event("0"), terms=Terms(is_end=True))
            await here.read("a", None, 1)
            assert (await here.read("b", None, 1)).has_ended
            await asyncio.to_thread(fail_over, watched)
            async with opened(url) as there:
                entry = await appended(there, "a", Event("1", id="after"))
                await answered(lambda: there.begin("b"))

            page, found, begun = await asyncio.gather(
                answered(lambda: here.read("a", entry.position, 10)),
                answered(lambda: here.find("a", "after")),
                answered(lambda: here.read("b", None, 10)),
            )

            assert (page.gap, page.head, found) == (None, entry.position, entry.position)
            # Otherwise its clients would be told never to come back.
            assert not begun.has_ended
            await ear.wait_for_entries(2)
            assert (ear.offsets("a"), ear.restarts) == ([1, 2], [])
    finally:
        watched.kill()
