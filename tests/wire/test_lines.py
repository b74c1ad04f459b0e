"""A line is returned with the byte that ends it."""

import pytest

from heliograph.wire.lines import LineSplitter

LINES = [
    pytest.param(b"a\nb\r\nc\rd\n", ["a", "b", "c", "d"], id="three-line-ends"),
    pytest.param(b"\r\r\n\n", ["", "", ""], id="cr-crlf-lf"),
    pytest.param(b"a\r", ["a"], id="lone-cr-counts-at-once"),
    pytest.param(b"a", [], id="unfinished"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 99])
@pytest.mark.parametrize(("wire", "lines"), LINES)
def test_lines(wire, lines, size):
    """The same lines however the bytes are cut."""
    splitter = LineSplitter(99)

    chunks = [wire[i : i + size] for i in range(0, len(wire), size)]

    assert [line for chunk in chunks for line in splitter.feed(chunk)] == lines


def test_lf_after_cr_in_another_chunk():
    """The LF of a CRLF that was cut in two is skipped, and only that."""
    splitter = LineSplitter(99)

    assert splitter.feed(b"a\r") == ["a"]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"\n") == [""]


def test_bytes_that_are_not_utf_8():
    """Each is replaced, and a sequence that a line end cuts does not swallow it."""
    splitter = LineSplitter(99)

    assert splitter.feed(b"a\xff\xc3\n\xa9\n") == ["a\ufffd\ufffd", "\ufffd"]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_too_long(end):
    """A line over the limit is refused, finished or not; one at the limit is not."""
    splitter = LineSplitter(3)

    assert splitter.feed(b"abc\n") == ["abc"]
    assert splitter.error is None
    assert splitter.feed(b"ab\nabc\nabcd" + end) == ["ab", "abc"]

    assert splitter.error is not None
    assert (splitter.error.size_bytes, splitter.error.limit_bytes) == (4, 3)
