"""The kinds of origins: every origin is of a kind, and what is no origin is of none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.cors.origins import is_origin
from heliograph.cors.shapes import shapes


def kinds(text):
    """The kinds of origins that a text is of."""
    return {shape.kind for shape in shapes() if accepts(shape.automaton, text)}


def accepts(automaton, text):
    states, following = set(), automaton.first
    for character in text:
        states = {
            state
            for state in following
            if automaton.characters[state] >> ord(character) & 1
        }
        following = {after for state in states for after in automaton.after.get(state, ())}
    return bool(states & set(automaton.last))


@pytest.mark.parametrize(
    ("origin", "kind"),
    [
        ("https://app.example", "named"),
        ("http://a.b.app.example.:3000", "named"),
        ("https://app.xn--p1ai", "named"),
        ("https://localhost.example", "named"),
        ("https://a.locale", "named"),
        ("http://localhost", "local"),
        ("http://a.localhost:3000", "local"),
        ("https://nas.local", "local"),
        ("http://intranet:8080", "local"),
        ("http://10.255.0.1", "local"),
        ("http://172.31.0.1:80000", "local"),
        ("http://192.168.0.1", "local"),
        ("http://127.0.0.1:3000", "local"),
        ("http://169.254.7.7", "local"),
        ("http://172.32.0.1", "address"),
        ("http://172.15.0.1", "address"),
        ("http://172.3.0.1", "address"),
        ("http://192.169.0.1", "address"),
        ("http://100.1.2.3", "address"),
        ("http://1.2.3.4", "address"),
        ("http://0.0.0.0", ""),
        ("http://256.0.0.1", ""),
        ("https://app.co.uk", "named"),
        ("https://app.co", "named"),
        ("https://co.uk", ""),
        ("https://app.c0m", ""),
        ("ipfs://bafy", "address"),
        ("http://[::1]:3000", "local"),
        ("http://[fd00::1]", "local"),
        ("http://[fe80::1]", "local"),
        ("http://[2001:db8::1]", "address local"),
        ("http://[ff02::1]", "local"),
        ("file://", "file"),
        ("app://.", "local"),
        ("chrome-extension://abc", "local"),
        ("httpx://abc", "local"),
        ("https://app.example/", ""),
        ("https://app.example:443", ""),
        ("http://app.example:80", ""),
        ("http://app.example:443", "named"),
        ("https://app.example:4433", "named"),
        ("https://.app.example", ""),
        ("https://1", ""),
        ("https://a.1", ""),
        ("ftp://app.example", ""),
        ("null", ""),
        ("", ""),
    ],
)
def test_kinds(origin, kind):
    """Each origin is of the kind that tells whose it is."""
    assert kinds(origin) == set(kind.split())


@given(
    st.text(alphabet="ahtps:/.[]1-", max_size=14), st.sampled_from(["http", "a", "file"])
)
def test_what_is_an_origin(rest, scheme):
    """What is of a kind is an origin."""
    text = f"{scheme}://{rest}"

    assert not kinds(text) or is_origin(text)
