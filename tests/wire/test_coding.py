"""Content codings, against zlib's decoder."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wire.coding import Coding, deflate

GZIP = [coding for coding in Coding if coding is not Coding.IDENTITY]
SIZES = [0, 1, 2, 59, 60, 61, 500, 4_096, 4_097, 32_768, 40_000, 65_535, 65_536, 200_000]


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def text(size):
    return bytes(random.Random(size).choices(b"abcdef \n", k=size))


@pytest.mark.parametrize("make", [text, noise])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", GZIP)
def test_any_size(coding, size, make):
    """A decoder returns all of a block as soon as it has its last byte, and awaits more."""
    decoder = zlib.decompressobj(wbits=31)
    decoder.decompress(coding.prologue)
    data = make(size)

    coded = coding.code([data])

    assert decoder.decompress(coded) == data
    assert not decoder.eof
    # What cannot be compressed costs a stored block for each 2 KiB, and the flush.
    assert len(coded) <= size + 5 * (size // 2048 + 2)
    # At which Go's decoder returns what it has.
    assert coded.endswith(b"\x00\x00\xff\xff") or not size


@given(
    st.lists(st.lists(st.binary(max_size=99), max_size=4), max_size=9),
    st.integers(1, 50),
    st.sampled_from(Coding),
)
def test_round_trip(writes, cut, coding):
    """Whatever is written, in whatever parts it arrives."""
    body = coding.prologue + b"".join([coding.code(blocks) for blocks in writes])
    decoder = zlib.decompressobj(wbits=31)
    got = b""
    for start in range(0, len(body), cut):
        part = body[start : start + cut]
        got += part if coding is Coding.IDENTITY else decoder.decompress(part)

    assert got == b"".join(map(b"".join, writes))


@pytest.mark.parametrize("size", [10, 300, 40_000])
def test_separate_events(size):
    """A block says nothing about its neighbours; where it may, what is alike is sent once."""
    block = noise(size // 2).hex().encode()
    once = len(deflate(block))

    assert len(Coding.GZIP_EVENTS.code([block, block])) == 2 * once
    if 60 < size < 30_000:
        assert len(Coding.GZIP_BLOCKS.code([block, block])) < 1.1 * once


@pytest.mark.parametrize("size", [1, 1_024, 32_768])
def test_a_block_that_refers_to_what_was_before(size):
    """What a decoder has just returned need not be sent again."""
    before = noise(size)
    again = before[-250:]

    coded = deflate(again, before)

    decoder = zlib.decompressobj(wbits=-15)
    assert decoder.decompress(deflate(b"earlier" + before)) == b"earlier" + before
    assert decoder.decompress(coded) == again
    assert size == 1 or len(coded) < 25


@pytest.mark.parametrize("size", [1, 2, 20, 200])
def test_what_does_not_get_shorter_is_stored(size):
    """Where compressing would cost more than it saves."""
    data = noise(size, 3)
    stored = b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
    flushed = b"\x00\x00\x00\xff\xff"

    assert len(deflate(data)) <= len(stored + data + flushed)
    assert size < 200 or deflate(data) == stored + data + flushed


def test_names():
    """What a response says of its coding."""
    assert Coding.IDENTITY.content_encoding is None
    assert Coding.IDENTITY.prologue == b""
    assert {coding.content_encoding for coding in GZIP} == {"gzip"}


@pytest.mark.parametrize("coding", GZIP)
@pytest.mark.parametrize(("count", "size"), [(1, 40_000), (16, 65_000), (500, 177)])
def test_what_many_clients_have_missed(count, size, coding):
    """It is compressed once, also if one client resumes after the other."""
    blocks = [text(size + n) for n in range(count)]
    first = [coding.code([block]) for block in blocks]

    second = [coding.code([bytes(bytearray(block))]) for block in blocks]

    assert all(after is before for before, after in zip(first, second, strict=True))


@pytest.mark.parametrize(("size", "is_kept"), [(200_000, True), (300_000, False)])
def test_what_is_kept_is_bounded(size, is_kept):
    """A page is compressed once for many clients that resume; a large event is not kept."""
    data = noise(size)

    first, second = [Coding.GZIP_BLOCKS.code([data]) for _ in range(2)]

    assert first == second
    assert (first is second) is is_kept
