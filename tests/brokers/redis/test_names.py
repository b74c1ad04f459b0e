"""Keys of one channel are in one slot, whatever its name is."""

import pytest
from redis.crc import key_slot

from heliograph.brokers.redis.names import Keys, Names

CHANNELS = ["a", "a{b}c", "{", "}", "{}", "é", "a b"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_one_slot(channel):
    """Also the key of the common life, and the pub/sub channel, in a cluster."""
    names = Names("p:", sharded=True)

    named = (*names.keys(channel), names.live(channel))

    assert len({key_slot(name.encode()) for name in named}) == 1
    assert names.is_ours(names.live(channel))


def test_keys():
    """Without a cluster all channels have one key in common."""
    names = Names("p:")

    assert names.keys("a") == Keys(
        row="p:{a}:channel",
        events="p:{a}:events",
        keys="p:{a}:keys",
        retained="p:{a}:retained",
        common="p:epoch",
    )
    assert names.keys("b").common == "p:epoch"
    assert names.live("a") == "p:{a}:live"


def test_processes_agree():
    """The key of a slot is the same, whatever was asked for before."""
    one, other = (Names("p:", sharded=True) for _ in range(2))
    for n in range(50):
        one.keys(f"before {n}")

    assert one.keys("a").common == other.keys("a").common


@pytest.mark.parametrize("channel", [*CHANNELS, "a/b", "100%", "\x01internal"])
def test_channel_of_a_row(channel):
    """A key leads back to its channel."""
    names = Names("p*:")

    assert names.channel(names.keys(channel).row.encode()) == channel


@pytest.mark.parametrize(
    "key", [b"p:{%ff}:channel", b"p:{a/b}:channel", b"p:{%2f}:channel"]
)
def test_a_row_of_nobody(key):
    """No channel has a key that is written so."""
    assert Names("p:").channel(key) is None


def test_rows_of_a_prefix():
    """Only the star at the end is a pattern; the rest means itself."""
    assert Names("a*[b]:").rows("x-y") == r"a\*\[b\]:{x\-y*}:channel"
