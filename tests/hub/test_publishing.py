"""What may be published."""

import asyncio
import logging

import pytest

from heliograph import (
    Event,
    EventTooLargeError,
    InvalidFieldError,
)
from heliograph.channels.entry import id_after
from heliograph.channels.position import Position, Positions
from hubs import opened
from streams import connect


async def test_publish_to_several_channels(url):
    """Each channel takes the event on its own; naming one twice is naming it once."""
    async with opened(url) as hub:
        client = await connect(hub, "a", "b").placed()

        entries = await hub.publish(["a", "b", "a"], Event("x"))

        assert [entry.channel for entry in entries] == ["a", "b"]
        assert len(await client.wait(2)) == 2


async def test_one_that_is_cancelled_before_it_begins(tmp_path):
    """Nothing is published, and no warning is given of what never ran."""
    async with opened(f"sqlite:///{tmp_path}/log") as hub:
        begun = asyncio.create_task(hub.begin_publish(["a"], Event("1")))
        begun.cancel()
        await asyncio.wait({begun})
        (entry,) = await hub.publish(["a"], Event("2"))

        assert begun.cancelled()
        assert entry.position.offset == 1


async def test_a_position_is_refused_as_an_own_id(url):
    """It would be resumed at another place."""
    async with opened(url) as hub:
        position = Positions({"a": Position("e", 1)}).id
        with pytest.raises(InvalidFieldError, match="position in channel 'a'"):
            await hub.publish(["b", "a"], Event("x", id=position))


@pytest.mark.parametrize("type", ["heliograph.open", "heliograph.gap", "heliograph.x"])
async def test_types_of_our_own_are_refused(url, type):
    """A page would take the event for what we say of its stream."""
    async with opened(url) as hub:
        with pytest.raises(InvalidFieldError, match=r"must not begin with 'heliograph\.'"):
            await hub.publish(["a"], Event("x", type=type))
        await hub.publish(["a"], Event("x", type="heliograph"))


async def test_own_ids_are_bounded(url):
    """A client has to send an id back in a header."""
    async with opened(url) as hub:
        with pytest.raises(InvalidFieldError, match="1024 bytes"):
            await hub.publish(["a"], Event("x", id="é" * 513))

        assert await hub.publish(["a"], Event("x", id="é" * 512))


async def test_too_large(url):
    """An event over the limit is refused before it is stored."""
    async with opened(url, max_event_bytes=100) as hub:
        with pytest.raises(
            EventTooLargeError, match=r"of 108 .* SSE_MAX_EVENT_BYTES"
        ) as caught:
            await hub.publish(["a"], Event("x" * 100))

        assert (caught.value.size_bytes, caught.value.limit_bytes) == (108, 100)

        (entry,) = await hub.publish(["a"], Event("x" * 80))

        assert entry.position.offset == 1


async def test_a_line_for_each_channel(url, caplog):
    """At DEBUG, with the streams that have it; nothing of the data, and nothing by default."""
    async with opened(url) as hub:
        await connect(hub, "a", "b").placed()
        await connect(hub, "a").placed()
        await hub.publish(["a"], Event("not yet"))
        with caplog.at_level(logging.DEBUG, "heliograph.events"):
            one, two = await hub.publish(["a", "b\x1b"], Event("the data", type="t"))
            await hub.publish(["c"], Event("the data", id="own"))

        has_it = "streams of this process have it"
        assert [record.getMessage() for record in caplog.records] == [
            f"published to 'a': id {id_after([one])!r}, type 't'; 2 {has_it}",
            f"published to 'b\\x1b': id {id_after([two])!r}, type 't'; 0 {has_it}",
            f"published to 'c': id 'own', type 'message'; 0 {has_it}",
        ]
