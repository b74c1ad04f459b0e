"""Which content coding a stream gets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.faces.negotiation import accepts_gzip, coding_of
from heliograph.wire.coding import Coding

# (the field, whether the client prefers gzip)
FIELDS = [
    # Browsers, Python's clients, Node, wget
    ("gzip, deflate, br, zstd", True),
    ("gzip, deflate", True),
    ("gzip,deflate", True),
    ("identity", False),
    # Section 12.5.3: no field, and an empty one
    (None, False),
    ("", False),
    (" ", False),
    # Its five examples
    ("compress, gzip", True),
    ("*", True),
    ("compress;q=0.5, gzip;q=1.0", True),
    ("gzip;q=1.0, identity; q=0.5, *;q=0", True),
    # What is not listed
    ("br", False),
    ("br, *;q=0", False),
    ("br, *;q=0.1", True),
    ("*;q=0", False),
    ("*;q=0, gzip", True),
    ("*;q=0.5, identity", False),
    ("*;q=0.5, identity;q=0.5", True),
    ("*, gzip;q=0", False),
    ("*, gzip;q=0.5", False),
    ("*;q=0.5, gzip;q=0.5", True),
    # gzip and identity
    ("gzip;q=0", False),
    ("gzip;q=0, identity;q=0", False),
    ("identity;q=0", False),
    ("br, identity;q=0", False),
    ("identity;q=0, gzip;q=0.001", True),
    ("gzip;q=0.001", True),
    ("gzip, identity", True),
    ("identity, gzip", True),
    ("gzip;q=0.5, identity;q=0.5", True),
    ("gzip;q=0.5, identity;q=0.501", False),
    ("gzip;q=0.501, identity;q=0.5", True),
    ("gzip;q=0.5, identity", False),
    # x-gzip; a coding that occurs twice; names in any case
    ("x-gzip", True),
    ("x-gzip;q=0, *", False),
    ("gzip, x-gzip;q=0", False),
    ("gzip, gzip;q=0", False),
    ("gzip;q=0, gzip", False),
    ("GZip", True),
    ("gzip;Q=0", False),
    ("X-GZIP", True),
    ("gzipped", False),
    ("gzip2", False),
    # Blanks and empty members (section 5.6.1.2)
    (" gzip\t;\tq=0.5 ,", True),
    (",, ,gzip", True),
    ("gzip ;q=0", False),
    ("gzip; q=0", False),
    # Weights (section 12.4.2)
    ("gzip;q=0.", False),
    ("gzip;q=0.000", False),
    ("gzip;q=1.", True),
    ("gzip;q=1.000", True),
    # What is no member is ignored.
    ("gzip;q=0.0001", False),
    ("gzip;q=1.001", False),
    ("gzip;q=2", False),
    ("gzip;q=.5", False),
    ("gzip;q=-1", False),
    ("gzip;q=1e0", False),
    ("gzip;q=\u0661", False),
    ("gzip;q=", False),
    ("gzip;q", False),
    ("gzip;", False),
    ("gzip;q= 1", False),
    ("gzip;q =1", False),
    ('gzip;q="1"', False),
    ("gzip;level=9", False),
    ("gzip;q=1;level=9", False),
    ("gzip deflate", False),
    ("g zip", False),
    ("gzip\n", False),
    ("(gzip)", False),
    (";q=1", False),
    ("gzip;q=2, gzip;q=0.5", True),
    ("gzip, identity;q=2", True),
    ("gzip, \xff", True),
    # As many members as nobody has codings are not read.
    ("gzip" + ",br" * 99, True),
    ("gzip" + ",br" * 100, False),
]


@pytest.mark.parametrize(("field", "expected"), FIELDS)
def test_fields(field, expected):
    """It is chosen if the client wants it at least as much as no compression."""
    assert accepts_gzip(field) is expected


NAMES = st.sampled_from(["gzip", "identity", "*", "br", "deflate"])
WEIGHTS = st.integers(0, 1000)


def member(name, weight, draw):
    """Spell a member in one of the ways that there are."""
    shown = "".join(draw.choice([letter, letter.upper()]) for letter in name)
    if shown.lower() == "gzip":
        shown = draw.choice(["", "x-"]) + shown
    if weight == 1000 and draw.random() < 0.5:
        return shown
    digits = f"{weight / 1000:.3f}"
    if draw.random() < 0.5:
        digits = digits.rstrip("0").rstrip(".")
    blanks = [draw.choice(["", " ", "\t", " \t "]) for _ in range(4)]
    return (
        f"{blanks[0]}{shown}{blanks[1]};{blanks[2]}{draw.choice('qQ')}={digits}{blanks[3]}"
    )


def preferred(weights):
    """Decide by the words of the RFC, with whole numbers."""

    def weight_of(name):
        return weights.get(name, weights.get("*"))

    gzip, identity = weight_of("gzip"), weight_of("identity")
    if gzip is None or gzip == 0:
        return False
    return identity is None or gzip >= identity


JUNK = ["", " ", "gzip;q=x", "identity;q=1.5", "*;q", "gzip gzip", "\xff", "gzip;q=0;a=b"]


@given(
    weights=st.dictionaries(NAMES, WEIGHTS),
    junk=st.lists(st.sampled_from(JUNK), max_size=50),
    seed=st.integers(),
)
def test_spelling_does_not_matter(weights, junk, seed):
    """Order, case, blanks, digits and members that are not valid change nothing."""
    draw = random.Random(seed)
    members = [member(name, weight, draw) for name, weight in weights.items()] + junk
    draw.shuffle(members)

    assert accepts_gzip(",".join(members)) is preferred(weights)


@given(st.text("gzipx-*identy;q=01. \t,é\n") | st.text())
def test_anything(field):
    """Whatever a client sends is a decision, and refusing gzip as well is respected."""
    assert accepts_gzip(field) in {True, False}
    assert accepts_gzip(f"{field},gzip;q=0") is False


# (what the channels allow, the coding in public, the coding in private)
STREAMS = [
    (None, Coding.IDENTITY, Coding.IDENTITY),
    ("blocks", Coding.GZIP_BLOCKS, Coding.GZIP_EVENTS),
    ("shared-window", Coding.GZIP_WINDOW, Coding.GZIP_EVENTS),
]


@pytest.mark.parametrize("first", range(3))
@pytest.mark.parametrize("second", range(3))
@pytest.mark.parametrize("is_private", [False, True])
def test_channels(first, second, is_private):
    """The least of what the channels allow counts; what is private shares no block."""
    compressions = [STREAMS[first][0], STREAMS[second][0]]

    coding = coding_of(compressions, "gzip", is_private=is_private)

    assert coding is STREAMS[min(first, second)][2 if is_private else 1]
    assert coding_of(compressions, None, is_private=is_private) is Coding.IDENTITY
    assert coding_of(compressions, "gzip;q=0", is_private=is_private) is Coding.IDENTITY
