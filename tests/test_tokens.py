"""Tokens open one selection until they expire."""

import string
import zlib

import pytest
from itsdangerous.encoding import base64_encode

from heliograph.tokens import InvalidTokenError, check_token, make_token

KEYS = ["key"]


def test_round_trip():
    """A token says until when."""
    token = make_token(KEYS, ("a", "é,&="), 3600)

    assert token.isascii()
    assert check_token(KEYS, token, ("a", "é,&=")) > 0


@pytest.mark.parametrize("channels", [("a",), ("a", "b", "c"), ("b", "a"), ("a,b",), ()])
def test_bound_to_the_channels(channels):
    """It opens neither more nor fewer."""
    with pytest.raises(InvalidTokenError, match="other channels"):
        check_token(KEYS, make_token(KEYS, ("a", "b"), 3600), channels)


def test_expired(monkeypatch):
    """After its time it opens nothing."""
    token = make_token(KEYS, ("a",), 10)
    monkeypatch.setattr("heliograph.tokens.time.time", lambda: 9e9)

    with pytest.raises(InvalidTokenError, match="expired"):
        check_token(KEYS, token, ("a",))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "",
        lambda t: "x",
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t.replace(".", "", 1),
        lambda t: "é" + t,
        lambda t: "." * 9999,
        lambda t: "\udc80" + t,
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t + "=",
        lambda t: t[:-9] + "!" + t[-9:],
        lambda t: t[:-1] + "é" + t[-1],
        lambda t: t[:-1] + "+",
    ],
)
def test_forged(change):
    """A changed token is none."""
    with pytest.raises(InvalidTokenError, match="not signed"):
        check_token(KEYS, change(make_token(KEYS, ("a",), 10)), ("a",))


ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def test_one_text_only():
    """A token has one spelling: the two bits that its last character has to spare are 0."""
    for n in range(50):
        token = make_token(KEYS, (f"a{n}",), 10)
        last = ALPHABET.index(token[-1])
        others = [token[:-1] + ALPHABET[last ^ spare] for spare in (1, 2, 3)]

        assert last & 3 == 0
        assert check_token(KEYS, token, (f"a{n}",))
        for other in others:
            with pytest.raises(InvalidTokenError, match="not signed"):
                check_token(KEYS, other, (f"a{n}",))


def test_a_compressed_token():
    """One of many channels is compressed, begins with a dot, and has one spelling, too."""
    channels = tuple(sorted(f"channel-{n}" for n in range(64)))
    token = make_token(KEYS, channels, 10)

    assert token.startswith(".")
    assert check_token(KEYS, token, channels)
    for other in (token[1:], "." + token, token[0] + " " + token[1:]):
        with pytest.raises(InvalidTokenError, match="not signed"):
            check_token(KEYS, other, channels)


def test_nothing_is_read_before_the_signature():
    """What would be costly to read (deep, or of megabytes once unpacked) is not."""
    deep = base64_encode(b"[" * 100_000)
    bomb = b"." + base64_encode(zlib.compress(b"0" * 50_000_000))
    signature = make_token(KEYS, ("a",), 10).rpartition(".")[2]

    for payload in (deep, bomb):
        with pytest.raises(InvalidTokenError, match="not signed"):
            check_token(KEYS, f"{payload.decode()}.{signature}", ("a",))


def test_of_another_use_of_the_key():
    """What the application signs for other purposes does not open streams."""
    from itsdangerous import URLSafeSerializer

    other = URLSafeSerializer("key", salt="something else").dumps([9e9, "a"])

    with pytest.raises(InvalidTokenError):
        check_token(KEYS, other, ("a",))


def test_rotation():
    """Tokens signed before the key was rotated are honoured, as long as it counts."""
    token = make_token(["key"], ("a",), 10)

    assert check_token(["key", "new"], token, ("a",))
    with pytest.raises(InvalidTokenError):
        check_token(["new"], token, ("a",))
    with pytest.raises(InvalidTokenError, match="not signed"):
        check_token(
            ["key", "new"], token[:-1] + ALPHABET[ALPHABET.index(token[-1]) ^ 1], ("a",)
        )
    newest = make_token(["key", "new"], ("a",), 10)
    assert check_token(["new"], newest, ("a",))


def test_no_key():
    """Without a key nothing can be signed."""
    with pytest.raises(InvalidTokenError, match="signs no tokens"):
        check_token([], "x", ("a",))
