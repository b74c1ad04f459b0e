"""Tokens open one selection until they expire."""

import pytest

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
    ],
)
def test_forged(change):
    """A changed token is none."""
    with pytest.raises(InvalidTokenError, match="not signed"):
        check_token(KEYS, change(make_token(KEYS, ("a",), 10)), ("a",))


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
    newest = make_token(["key", "new"], ("a",), 10)
    assert check_token(["new"], newest, ("a",))


def test_no_key():
    """Without a key nothing can be signed."""
    with pytest.raises(InvalidTokenError, match="signs no tokens"):
        check_token([], "x", ("a",))
