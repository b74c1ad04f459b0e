"""To whom the client sends the credentials of its caller when a server redirects it."""

import functools
from dataclasses import replace

import httpx2
import pytest
from client_reader import Reader
from scripted import STREAM, redirect

from heliograph.client import EventSource
from heliograph.client.actions import Follow, Head
from heliograph.client.carrying import Hooks

X = b"retry: 1\ndata: x\n\n"
COOKIE = {"Cookie": "c=1"}
SECRETS = {"Authorization": "Basic dTpw", **COOKIE}


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize(
    ("secret", "of_client"),
    [
        ({"headers": SECRETS}, None),
        ({"headers": COOKIE, "auth": ("u", "p")}, None),
        (
            {"headers": SECRETS, "renew": lambda target: replace(target, headers=SECRETS)},
            None,
        ),
        ({}, {"headers": SECRETS}),
        ({}, {"headers": COOKIE, "auth": ("u", "p")}),
    ],
    ids=["headers", "auth", "renewed", "headers of a client", "auth of a client"],
)
def test_credentials_stay_at_their_origin(
    status, secret, of_client, *, face, script, server
):
    """A redirect to another origin does not get them, neither at once nor on reconnects."""
    url = script(
        [redirect(status, "{BASE}b")], [redirect(status, "{OTHER}c")], [STREAM + X]
    )
    kind = httpx2.Client if face == "threads" else httpx2.AsyncClient
    client = None if of_client is None else functools.partial(kind, **of_client)

    Reader(face, url, client=client, **secret)

    got = [
        (request.origin, request.header("authorization"), request.header("cookie"))
        for request in server.requests(url)
    ]
    own, other = ("", b"Basic dTpw", b"c=1"), ("other", None, None)
    assert got == [own, own, other, other if status == 301 else own]


def test_credentials_do_not_come_back(face, script, server):
    """An attempt that another origin has sent back gets none: it names what is asked for."""
    url = script([redirect(302, "{OTHER}b")], [redirect(302, "{BASE}c")], [STREAM])

    Reader(face, url, headers=SECRETS, auth=("u", "p"), reconnect=False)

    got = [
        (request.header("authorization"), request.header("cookie"))
        for request in server.requests(url)
    ]
    assert got == [(b"Basic dTpw", b"c=1"), (None, None), (None, None)]


def test_credentials_at_a_renewed_origin(face, script, server):
    """The caller has chosen that origin, and no redirect."""
    url, other = script([STREAM + X]), server.other
    there = url.replace(server.origin, other)

    Reader(face, url, headers=COOKIE, auth=("u", "p"), renew=lambda _: there)

    got = [
        (request.origin, request.header("authorization"), request.header("cookie"))
        for request in server.requests(url)
    ]
    assert got == [("", b"Basic dTpw", b"c=1"), ("other", b"Basic dTpw", b"c=1")]


def test_credentials_of_an_address(face, script, server):
    """They hold where it has moved to within its origin, though the server names none."""
    url = script([redirect(308, "{BASE}b")], [STREAM + X])

    Reader(face, url.replace("://", "://u:p@"))

    got = [(one.path, one.header("authorization")) for one in server.requests(url)]
    assert got == [(path, b"Basic dTpw") for path in ("s", "b", "b")]


def test_a_cookie_of_the_answer(face, script, server):
    """What a redirect sets is sent to the address that it names."""
    moved = redirect(302, "{BASE}b").replace(b"\r\n", b"\r\nSet-Cookie: d=2\r\n", 1)
    url = script([moved], [STREAM])

    Reader(face, url, reconnect=False)

    assert [one.header("cookie") for one in server.requests(url)] == [None, b"d=2"]


@pytest.mark.parametrize(
    ("url", "location", "may"),
    [
        ("http://a.example/s", "https://a.example/s", True),
        ("http://a.example:80/s", "https://a.example:443/s", True),
        ("http://a.example:8000/s", "https://a.example/s", False),
        ("http://a.example/s", "https://a.example:8443/s", False),
        ("http://a.example/s", "https://b.example/s", False),
        ("https://a.example/s", "http://a.example/s", False),
    ],
)
def test_an_upgrade_to_tls(url, location, may):
    """
    The same host gets credentials with TLS, also when it has moved there for good.

    A test cannot listen on the two ports that this is about.
    """
    source = EventSource(url, headers=SECRETS)
    machine = source._reading.machine
    machine.connect()

    action = machine.receive_head(Head(url, 301, {}, location), 0)
    machine.receive_head(Head(location, 200, {"content-type": "text/event-stream"}), 0)
    later = machine.connect()

    assert action == Follow(may_authenticate=may)
    assert later.url == location
    assert ((b"Authorization", b"Basic dTpw") in later.headers) is may
    assert bool(Hooks(1, *[None] * 4).credentials(later)["auth"]) is may
