"""What clients are told when their server replaces the process after some requests."""

import re
import zlib

import pytest

from heliograph import HubConfig
from heliograph.hub import Admission
from heliograph.hub.recycling import Recycling
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing
from hubs import Recording, opened

CONFIG = HubConfig(retry_ms=1_000)

# (requests of a process, streams that it has, the latest reconnect in milliseconds)
TIMES = [
    pytest.param(1_000, 10, 1_500 + 600, id="few-streams"),
    pytest.param(1_000, 500, 1_500 + 30_000, id="half-of-the-requests"),
    pytest.param(1_000, 1_000, 1_500 + 60_000, id="as-many-as-requests"),
    pytest.param(5, 1_000, 1_500 + 60_000, id="no-later-than-in-a-minute"),
]


@pytest.mark.parametrize(("requests", "streams", "latest"), TIMES)
def test_times(requests, streams, latest):
    """The more of the requests are streams, the longer; the first call counts."""
    recycling = Recycling(CONFIG, lambda: requests)

    lines = [recycling.last_words(streams)]
    lines += [recycling.last_words(n) for n in range(2_000)]

    times = [int(line.removeprefix(b"retry: ")) for line in lines]
    assert all(line.endswith(b"\n") for line in lines)
    assert min(times) >= 500
    assert max(times) <= latest
    # Spread: a tenth of the times are in each tenth of the range, more or less.
    assert max(times) > 500 + 0.9 * (latest - 500)
    assert min(times) < 500 + 0.1 * (latest - 500)


def test_another_end():
    """Clients of a deploy are told nothing: they come back as soon as ever."""
    assert Recycling(CONFIG, lambda: None).last_words(99) == b""


@pytest.mark.parametrize("coding", Coding)
async def test_the_last_bytes_of_a_stream(coding):
    """They are coded as all others."""
    async with opened(recycled_after=lambda: 1) as hub:
        sink = Recording()
        hub.attach(hub.admit(Admission(("a",), coding=coding)), sink)

        hub.finish_all()

        data = sink.data
        if coding is not Coding.IDENTITY:
            data = zlib.decompressobj(wbits=31).decompress(data)
        assert re.search(rb"\nretry: \d+\nretry: \d+\n$", data)
        assert sink.calls == ["close"]


async def test_the_last_chunks_of_a_stream():
    """They are framed as all others, and the end follows."""
    async with opened(recycled_after=lambda: 1) as hub:
        sink = Recording(Framing.CHUNKED)
        hub.attach(hub.admit(Admission(("a",))), sink)

        hub.finish_all()

        assert re.fullmatch(rb"[0-9a-f]+\r\nretry: \d+\n\r\n", sink.writes[-2])
        assert sink.writes[-1] == Framing.CHUNKED.end


async def test_a_stream_without_a_client():
    """Nothing is written for one that was admitted only."""
    async with opened(recycled_after=lambda: 1) as hub:
        hub.admit(Admission(("a",)))

        hub.finish_all()

        assert hub.statistics().subscribers == 0
