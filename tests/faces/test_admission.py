"""A slot in the hub for a client that was let in."""

import time

import pytest

from heliograph import HubConfig
from heliograph.faces import Admission, Refusal, admit
from heliograph.hub import HubThread, open_hub


def admission(*channels, address=None):
    return Admission(
        channels=channels,
        last_event_id=None,
        expires_at=None,
        address=address,
        arrived_at=time.monotonic_ns(),
    )


CONFIG = HubConfig(
    max_subscribers_per_channel=1, max_subscribers_per_address=1, retry_after_seconds=7
)

# (what is asked for after ("a",) from 192.0.2.1, the refusal's status and words).
REFUSED = [
    pytest.param(admission("a"), 503, "channel 'a' has its 1 subscribers", id="channel"),
    pytest.param(
        admission("b", address="192.0.2.1"),
        429,
        "192.0.2.1 has its 1 subscribers",
        id="address",
    ),
]


@pytest.mark.parametrize(("wanted", "status", "words"), REFUSED)
async def test_on_a_loop(wanted, status, words):
    """The hub's ticket, or the refusal that its error amounts to."""
    hub = await open_hub("memory:", CONFIG)
    ticket = admit(hub, admission("a", address="192.0.2.1"), accept="")
    assert not isinstance(ticket, Refusal)

    refusal = admit(hub, wanted, accept="")

    assert (refusal.status, refusal.headers[0]) == (status, ("Retry-After", "7"))
    assert words in refusal.text
    assert 3500 <= admit(hub, wanted, accept="text/event-stream").retry_ms <= 10_500
    statistics = hub.statistics()
    assert (statistics.refused, statistics.subscribers) == (2, 1)
    await hub.close()
    closed = admit(hub, wanted, accept="")
    assert (closed.status, closed.headers[0]) == (503, ("Retry-After", "1"))
    assert admit(hub, wanted, accept="text/event-stream").retry_ms <= 3000


@pytest.mark.parametrize(("wanted", "status", "words"), REFUSED)
def test_in_a_thread(wanted, status, words):
    """The same of a hub in a thread of its own."""
    hub = HubThread("memory:", CONFIG)
    ticket = admit(hub, admission("a", address="192.0.2.1"), accept="")
    try:
        refusal = admit(hub, wanted, accept="")
        assert (refusal.status, words in refusal.text) == (status, True)
        assert admit(hub, wanted, accept="text/event-stream").status == 200
        hub.release(ticket)
        statistics = hub.statistics()
        assert (statistics.refused, statistics.subscribers) == (2, 0)
    finally:
        hub.close()
