"""Tokens open one selection until they expire."""

import datetime
import string
import sys
import zlib

import pytest
from itsdangerous.encoding import base64_encode

from heliograph import ConfigError, InvalidFieldError
from heliograph.faces.tokens import (
    InvalidTokenError,
    check_token,
    make_token,
    read_keys,
    signed_parameters,
)

KEYS = ["key"]
NOW = 1_700_000_000
SOON = NOW + 10


def make(keys, *channels, expires_at=SOON):
    return make_token(keys, channels, expires_at=expires_at)


def check(keys, token, *channels, now=NOW):
    return check_token(keys, token, channels, now=now)


def test_round_trip():
    """A token says until when, in whole seconds."""
    token = make(KEYS, "a", "é,&=", expires_at=NOW + 9.5)

    assert token.isascii()
    assert check(KEYS, token, "a", "é,&=") == NOW + 10


@pytest.mark.parametrize("channels", [("a",), ("a", "b", "c"), ("b", "a"), ("a,b",), ()])
def test_bound_to_the_channels(channels):
    """It opens neither more nor fewer."""
    with pytest.raises(InvalidTokenError, match="other channels"):
        check(KEYS, make(KEYS, "a", "b"), *channels)


@pytest.mark.parametrize("now", [SOON, SOON + 1, 9e9])
def test_expired(now):
    """After its time it opens nothing."""
    with pytest.raises(InvalidTokenError, match="expired"):
        check(KEYS, make(KEYS, "a"), "a", now=now)


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
        check(KEYS, change(make(KEYS, "a")), "a")


ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def test_one_text_only():
    """A token has one spelling: the two bits that its last character has to spare are 0."""
    for n in range(50):
        token = make(KEYS, f"a{n}")
        last = ALPHABET.index(token[-1])
        others = [token[:-1] + ALPHABET[last ^ spare] for spare in (1, 2, 3)]

        assert last & 3 == 0
        assert check(KEYS, token, f"a{n}")
        for other in others:
            with pytest.raises(InvalidTokenError, match="not signed"):
                check(KEYS, other, f"a{n}")


def test_a_compressed_token():
    """One of many channels is compressed, begins with a dot, and has one spelling, too."""
    channels = tuple(sorted(f"channel-{n}" for n in range(64)))
    token = make(KEYS, *channels)

    assert token.startswith(".")
    assert check(KEYS, token, *channels)
    for other in (token[1:], "." + token, token[0] + " " + token[1:]):
        with pytest.raises(InvalidTokenError, match="not signed"):
            check(KEYS, other, *channels)


def test_nothing_is_read_before_the_signature():
    """What would be costly to read (deep, or of megabytes once unpacked) is not."""
    deep = base64_encode(b"[" * 100_000)
    bomb = b"." + base64_encode(zlib.compress(b"0" * 50_000_000))
    signature = make(KEYS, "a").rpartition(".")[2]

    for payload in (deep, bomb):
        with pytest.raises(InvalidTokenError, match="not signed"):
            check(KEYS, f"{payload.decode()}.{signature}", "a")


def test_of_another_use_of_the_key():
    """What the application signs for other purposes does not open streams."""
    from itsdangerous import URLSafeSerializer

    other = URLSafeSerializer("key", salt="something else").dumps([9e9, "a"])

    with pytest.raises(InvalidTokenError):
        check(KEYS, other, "a")


def test_rotation():
    """Tokens signed before the key was rotated are honoured, as long as it counts."""
    token = make(["key"], "a")

    assert check(["key", "new"], token, "a")
    with pytest.raises(InvalidTokenError):
        check(["new"], token, "a")
    with pytest.raises(InvalidTokenError, match="not signed"):
        check(["key", "new"], token[:-1] + ALPHABET[ALPHABET.index(token[-1]) ^ 1], "a")
    newest = make(["key", "new"], "a")
    assert check(["new"], newest, "a")


def test_no_key():
    """Without a key nothing can be signed."""
    with pytest.raises(InvalidTokenError, match="signs no tokens"):
        check([], "x", "a")


def sign(keys, channels, expires_in):
    return signed_parameters(keys, channels, expires_in, now=NOW, setting="the_key = …")


@pytest.mark.parametrize("expires_in", [60, 60.0, datetime.timedelta(minutes=1)])
def test_signed_parameters(expires_in):
    """The channels are sorted, each once, and the token is for those."""
    parameters = sign(KEYS, ["b", "a", "b"], expires_in)

    assert parameters["channel"] == ["a", "b"]
    assert check(KEYS, parameters["token"], "a", "b") == NOW + 60


@pytest.mark.parametrize(
    "expires_in", [0, -1, "60", None, True, float("nan"), float("inf"), 1e300]
)
def test_bad_expiry(expires_in):
    """Only a number of seconds above 0 is a time until which to listen."""
    with pytest.raises(InvalidFieldError, match="expires_in"):
        sign(KEYS, ["a"], expires_in)


@pytest.mark.parametrize("channels", [[], ["a\n"], [f"c{n}" for n in range(65)]])
def test_parameters_of_bad_channels(channels):
    """Nothing is signed that no stream could have."""
    with pytest.raises(InvalidFieldError, match="channel"):
        sign(KEYS, channels, 60)


def test_parameters_without_a_key():
    """The error says which setting is missing."""
    with pytest.raises(ConfigError, match="need a key: set the_key"):
        sign([], ["a"], 60)


@pytest.mark.parametrize(
    ("secret_key", "keys"),
    [
        (None, ()),
        ("a", ("a",)),
        (b"a", (b"a",)),
        (["old", b"new"], ("old", b"new")),
        ((), ()),
    ],
)
def test_read_keys(secret_key, keys):
    """One key or several, in the order in which they are given."""
    assert read_keys(secret_key, extra="asgi") == keys


@pytest.mark.parametrize(
    ("secret_key", "text"),
    [
        ("", "secret_key must not be empty"),
        (["a", ""], "secret_key must not be empty"),
        (5, "secret_key must be text, bytes, or several of them, not 5"),
        (["a", 5], "secret_key must be text, bytes, or several of them, not 5"),
        ({"a"}, "secret_key must be text, bytes, or several of them, not {'a'}"),
    ],
)
def test_bad_keys(secret_key, text):
    """The error says what a key is."""
    with pytest.raises(ConfigError, match=text):
        read_keys(secret_key, extra="asgi")


def test_without_the_package_that_signs(monkeypatch):
    """Whoever signs is told at start which extra to install; others do not need it."""
    monkeypatch.setitem(sys.modules, "itsdangerous", None)

    assert read_keys(None, extra="asgi") == ()
    with pytest.raises(InvalidTokenError, match="signs no tokens"):
        check([], "x", "a")
    with pytest.raises(ConfigError, match=r"pip install 'heliograph\[asgi\]'"):
        read_keys("key", extra="asgi")
