"""How blocks are delimited on a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wire.framing import Framing

# (framing, what is written, what is sent). Add a row, not a test.
FRAMED = [
    pytest.param(Framing.IDENTITY, b":\n\n", b":\n\n", id="identity"),
    pytest.param(Framing.CHUNKED, b":\n\n", b"3\r\n:\n\n\r\n", id="chunked"),
    pytest.param(Framing.CHUNKED, b"x" * 16, b"10\r\n" + b"x" * 16 + b"\r\n", id="hex"),
    pytest.param(
        Framing.CHUNKED, b"x" * 2**20, b"100000\r\n" + b"x" * 2**20 + b"\r\n", id="large"
    ),
    pytest.param(
        Framing.CHUNKED, b"\r\n0\r\n\r\n", b"7\r\n\r\n0\r\n\r\n\r\n", id="as-an-end"
    ),
]


@pytest.mark.parametrize(("framing", "data", "sent"), FRAMED)
def test_framed(framing, data, sent):
    """As RFC 9112 section 7.1 has it: size in hexadecimal digits, data, CRLF after each."""
    assert framing.frame(data) == sent


@pytest.mark.parametrize(
    ("framing", "end"), [(Framing.IDENTITY, b""), (Framing.CHUNKED, b"0\r\n\r\n")]
)
def test_end(framing, end):
    """The last chunk, and an empty trailer section; the connection's end says the rest."""
    assert framing.end == end


def test_what_is_not_framed_is_not_copied():
    """A feed hands the same bytes to all of its subscribers."""
    data = b"data: x\n\n"

    assert Framing.IDENTITY.frame(data) is data


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=9))
def test_chunks_are_read_as_they_were_written(blocks):
    """By a reader that follows the standard literally."""
    sent = b"".join(map(Framing.CHUNKED.frame, blocks)) + Framing.CHUNKED.end

    read = []
    while True:
        size, _, sent = sent.partition(b"\r\n")
        length = int(size, 16)
        chunk, end, sent = sent[:length], sent[length : length + 2], sent[length + 2 :]
        assert end == b"\r\n"
        if not length:
            break
        read.append(chunk)

    assert read == blocks
    assert sent == b""
