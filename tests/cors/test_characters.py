"""Sets of characters are what ``re`` matches, or more."""

import re

import pytest

from heliograph.cors.characters import BITS, characters_of

# Items of an expression, each for one character.
ITEMS = [
    "a", "Z", "[a-z]", "[^a-z]", "[^a]", "[a-fA-F0-9]", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S",
    r"[\d.-]", r"[^\d.-]", r"[^\W\d]", "[\x00-\x7f]", "[ä]", "[^ä]", "[a-ü]", "ß", ".", r"[\s\S]",
    "\u017f", "[^\u017f]", "\u212a", "\u0130", "\u0131", "[\u0100-\uffff]", "[^\u0100-\u0200]",
]  # fmt: skip


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("item", ITEMS)
def test_characters(item, ignore_case):
    """In ASCII a set is exact, but for the line end; beyond, it holds all or nothing."""
    ((kind, value),) = re._parser.parse(item)
    flags = re.IGNORECASE if ignore_case else 0
    found = characters_of(kind, value, ignore_case=ignore_case)

    exact = {
        code for code in range(128) if re.fullmatch(item, chr(code), flags | re.DOTALL)
    }
    assert {code for code in range(128) if found & BITS[code]} == exact
    if any(re.fullmatch(item, text, flags) for text in "äüßéж\u2028٣"):
        assert found & BITS[128]


@pytest.mark.parametrize(
    ("item", "is_beyond"), [("a", False), ("[a-z]", False), ("ä", True), (r"\d", True)]
)
def test_beyond_ascii(item, is_beyond):
    """All characters beyond ASCII share a bit."""
    ((kind, value),) = re._parser.parse(item)

    assert bool(characters_of(kind, value, ignore_case=False) & BITS[128]) is is_beyond


@pytest.mark.parametrize("expression", [r"(a)\1", "^", "(?=a)", "a*"])
def test_no_single_character(expression):
    """An item that does not match one character by itself has no set."""
    kind, value = list(re._parser.parse(expression))[-1]

    assert characters_of(kind, value, ignore_case=False) is None
