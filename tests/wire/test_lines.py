"""A line is yielded with the byte that ends it."""

import pytest

from heliograph import EventTooLargeError
from heliograph.wire.lines import LineSplitter

LINES = [
    pytest.param(b"a\nb\r\nc\rd\n", [b"a", b"b", b"c", b"d"], id="three-line-ends"),
    pytest.param(b"\r\r\n\n", [b"", b"", b""], id="cr-crlf-lf"),
    pytest.param(b"a\r", [b"a"], id="lone-cr-counts-at-once"),
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

    assert list(splitter.feed(b"a\r")) == [b"a"]
    assert list(splitter.feed(b"")) == []
    assert list(splitter.feed(b"\n")) == []
    assert list(splitter.feed(b"\n")) == [b""]


def test_lf_after_a_line_at_which_the_caller_stopped():
    """The LF is skipped even if the caller did not finish the chunk of the CR."""
    splitter = LineSplitter(99)

    assert next(splitter.feed(b"a\r")) == b"a"
    assert list(splitter.feed(b"\nb\n")) == [b"b"]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_too_long(end):
    """A line over the limit is refused, finished or not; one at the limit is not."""
    splitter = LineSplitter(3)

    assert list(splitter.feed(b"abc\n")) == [b"abc"]
    with pytest.raises(EventTooLargeError) as caught:
        list(splitter.feed(b"abcd" + end))

    assert (caught.value.size_bytes, caught.value.limit_bytes) == (4, 3)
