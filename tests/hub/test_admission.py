"""Caps on streams and channels, in all and for one address."""

import tracemalloc

import pytest

from heliograph import (
    Event,
    TooManySubscribersError,
)
from heliograph.hub import Admission
from hubs import opened
from streams import connect, until


async def test_caps():
    """A cap per process and one per channel, named in the error."""
    async with opened(
        max_subscribers=3, max_subscribers_per_channel=2, retry_after_seconds=7
    ) as hub:
        held = [connect(hub, "a"), connect(hub, "a", "b")]
        with pytest.raises(TooManySubscribersError) as caught:
            hub.admit(Admission(("a", "b")))
        assert (
            caught.value.channel,
            caught.value.limit,
            caught.value.retry_after_seconds,
        ) == ("a", 2, 7)
        held.append(connect(hub, "b"))
        with pytest.raises(TooManySubscribersError) as caught:
            hub.admit(Admission(("c",)))
        assert (caught.value.channel, caught.value.limit) == (None, 3)
        assert hub.statistics().refused == 2

        held[0].leave()
        await until(lambda: hub.statistics().subscribers == 2)

        assert hub.admit(Admission(("a",)))


async def test_cap_per_address():
    """Each address has its own; who has left counts no more; unknown ones do not count."""
    async with opened(max_subscribers_per_address=2) as hub:
        first, _ = [hub.admit(Admission(("a",), address="10.0.0.1")) for _ in range(2)]
        with pytest.raises(TooManySubscribersError, match=r"the address 10\.0") as caught:
            hub.admit(Admission(("b",), address="10.0.0.1"))
        assert (caught.value.address, caught.value.status) == ("10.0.0.1", 429)
        hub.admit(Admission(("a",), address="10.0.0.2"))
        for _ in range(3):
            hub.admit(Admission(("a",)))

        hub.release(first)
        hub.release(first)

        hub.release(hub.admit(Admission(("a",), address="10.0.0.1")))
        assert hub.statistics().refused == 1
        assert hub._clients._admission._slots._streams == {"10.0.0.1": 1, "10.0.0.2": 1}


@pytest.mark.parametrize(
    ("addresses", "counted"),
    [
        (["2001:db8::1", "2001:db8:0:0:ffff::2"], {"2001:db8::/64": 2}),
        (["2001:db8::1", "2001:db8:0:1::1"], {"2001:db8::/64": 1, "2001:db8:0:1::/64": 1}),
        (["::ffff:10.0.0.1", "10.0.0.1"], {"10.0.0.1": 2}),
        (["fe80::1%eth0", "fe80::2"], {"fe80::/64": 2}),
        (["10.0.0.1:1111", "10.0.0.1:2222", "10.0.0.1"], {"10.0.0.1": 3}),
        (["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::3]"], {"2001:db8::/64": 3}),
        (["proxy:7", "unix"], {"proxy": 1, "unix": 1}),
    ],
)
async def test_what_counts_as_an_address(addresses, counted):
    """In IPv6 all that a customer has; in whichever way IPv4 is written the same."""
    async with opened() as hub:
        for address in addresses:
            hub.admit(Admission(("a",), address=address))
        assert hub._clients._admission._slots._streams == counted


async def test_cap_on_channels(url):
    """Channels that only linger make room; of those in use there are no more."""
    async with opened(url, max_channels=3, linger_seconds=60) as hub:
        await hub.publish(["a", "b", "c", "d"], Event("x"))
        first = await connect(hub, "a", "b").placed()
        first.leave()
        await until(lambda: hub.statistics().subscribers == 0)
        assert hub.statistics().channels == 2

        second = await connect(hub, "b", "c", "d").placed()

        assert set(hub._table._channels) == {"\x01heliograph.control", "b", "c", "d"}
        with pytest.raises(TooManySubscribersError, match="3 channels") as caught:
            hub.admit(Admission(("b", "e")))
        assert (caught.value.limit, caught.value.what) == (3, "channels")
        assert caught.value.status == 503
        await connect(hub, "c", "d").placed()
        second.leave()
        assert hub.statistics().refused == 1


async def test_reloading_counts_once_for_an_address():
    """What lingers and is used again is not counted for both."""
    async with opened(max_channels_per_address=4, linger_seconds=60) as hub:
        await hub.publish(["a", "b", "c"], Event("x"))
        for _ in range(5):
            client = await connect(hub, "a", "b", address="10.0.0.1").placed()
            client.leave()
            await until(lambda: hub.statistics().subscribers == 0)
        assert hub._clients._admission._slots._channels == {"10.0.0.1": 2}
        hub._table.make_room((), 1)
        assert not hub._clients._admission._slots._channels


async def test_cap_on_channels_of_an_address():
    """Counted for as long as they are listened to, lingering included."""
    async with opened(max_channels_per_address=3, linger_seconds=0.3) as hub:
        await hub.publish(["a", "b"], Event("x"))
        client = connect(hub, "a", "b", address="10.0.0.1")
        await client.placed()

        with pytest.raises(
            TooManySubscribersError, match=r"10\.0\.0\.1 has its 3 ch"
        ) as caught:
            hub.admit(Admission(("a", "c"), address="10.0.0.1"))
        assert caught.value.status == 429
        hub.release(hub.admit(Admission(("a", "c"), address="10.0.0.2")))
        client.leave()
        await until(lambda: hub.statistics().subscribers == 0)
        with pytest.raises(TooManySubscribersError):
            hub.admit(Admission(("a", "b"), address="10.0.0.1"))

        await until(lambda: not hub._clients._admission._slots._channels)
        hub.admit(Admission(("a", "b"), address="10.0.0.1"))


async def test_long_addresses_are_not_remembered():
    """They are what clients have told a proxy; those of who has left are forgotten."""
    async with opened() as hub:
        hub.release(hub.admit(Admission(("a",), address="192.0.2.1")))
        tracemalloc.start()
        try:
            for n in range(200):
                address = f"{n}" + "x" * 20_000
                hub.release(hub.admit(Admission(("a",), address=address)))
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert kept < 1_000_000
