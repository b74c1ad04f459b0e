"""Whether a client gets a stream: tables of requests and settings."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from heliograph import HubConfig
from heliograph.channels.start import Start
from heliograph.errors import InvalidFieldError
from heliograph.faces import (
    Access,
    Admission,
    NeedsVerdict,
    Refusal,
    StreamRequest,
    admission_by_view,
    decide,
)
from heliograph.faces.tokens import make_token, signed_parameters
from heliograph.wire.coding import Coding

NOW = 1_700_000_000
KEYS = ("old", "key")


def asked(query="", *, method="GET", address="192.0.2.1", headers=()):
    return StreamRequest(
        method=method,
        query_string=query.encode(),
        headers=dict(headers),
        address=address,
        arrived_at=5,
    )


def ask(query="", access=None, **values):
    return decide(asked(query, **values), access or Access(), now=NOW)


def signed(*channels, expires_in=60, keys=KEYS):
    return urlencode(
        signed_parameters(keys, channels, expires_in, now=NOW, setting=""), doseq=True
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_admission(method):
    """It holds all that the hub has to know."""
    decided = ask(
        "channel=b&channel=a", method=method, headers={"last-event-id": "1-1"}.items()
    )

    assert decided == Admission(
        channels=("a", "b"),
        last_event_id="1-1",
        expires_at=None,
        address="192.0.2.1",
        arrived_at=5,
    )


@pytest.mark.parametrize(
    ("reported", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        (None, None),
        ("", None),
        ("0.0.0.0", None),
        ("<local>", None),
        ("localhost", None),
    ],
)
def test_address(reported, address):
    """What servers report for a Unix socket is not the address of one client."""
    assert ask(address=reported).address == address


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods(method):
    """The refusal says which methods there are, whatever else is wrong."""
    expected = Refusal(
        405, "a stream must be requested with GET", (("Allow", "GET, HEAD"),)
    )
    assert ask("channel=%00", Access(private=True), method=method) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("channel=%00", "control characters"),
        ("channel=%FF", "lone surrogates"),
        ("&".join(f"channel={n}" for n in range(65)), "1 to 64 channels"),
        ("lastEventId=" + "x" * 9000, "at most 8190 characters"),
        ("&" * 1000, "at most 1000 fields"),
        ("chanel=a&chanel=b&theme=dark", "'chanel': must be spelled channel"),
        ("channel=a&Token=x", "'Token': must be spelled token"),
    ],
)
def test_bad_requests(query, words):
    """400, with the field, the value and the rule, in one short line."""
    refusal = ask(query, Access(private=True, has_authorizer=True))

    assert (refusal.status, refusal.headers) == (400, ())
    assert words in refusal.text
    assert len(refusal.text) < 300
    assert "\n" not in refusal.text


FORGERIES = [
    pytest.param(lambda url: url + "x", "not signed", id="signature"),
    pytest.param(
        lambda url: url.replace("channel=a&", "channel=b&"),
        "other channels",
        id="another-channel",
    ),
    pytest.param(
        lambda url: url.replace("channel=a&", "channel=a&channel=b&"),
        "other channels",
        id="one-more-channel",
    ),
    pytest.param(lambda url: url.split("token=")[0] + "token=", "not signed", id="empty"),
    pytest.param(
        lambda url: url.split("token=")[0] + "token=" + "A" * 100_000,
        "not signed",
        id="long",
    ),
    pytest.param(
        lambda url: url.split("token=")[0] + "token=%00%FF", "not signed", id="junk"
    ),
    pytest.param(lambda url: signed("a", keys=["other"]), "not signed", id="other-key"),
    pytest.param(
        lambda url: f"channel=a&token={make_token(KEYS, ('a',), expires_at=NOW)}",
        "expired",
        id="expired",
    ),
]


@pytest.mark.parametrize(("forge", "words"), FORGERIES)
@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("has_authorizer", [True, False])
def test_forged_tokens(forge, words, private, has_authorizer):
    """A wrong token is refused even where none is needed, and no authorizer is asked."""
    access = Access(keys=KEYS, private=private, has_authorizer=has_authorizer)

    refusal = ask(forge(signed("a")), access)

    assert refusal.status == 403
    assert words in refusal.text


def test_a_token_without_a_key():
    """Where nothing is signed a token opens nothing."""
    assert ask("token=x") == Refusal(403, "this application signs no tokens")


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("has_authorizer", [True, False])
@pytest.mark.parametrize("hook_sees_one_channel", [True, False])
@pytest.mark.parametrize("keys", [KEYS[:1], KEYS], ids=["old-key", "newest-key"])
def test_a_token(private, has_authorizer, hook_sees_one_channel, keys):
    """Whoever was given a signed URL is let in by it alone, until it expires."""
    access = Access(
        keys=KEYS,
        private=private,
        has_authorizer=has_authorizer,
        hook_sees_one_channel=hook_sees_one_channel,
    )

    admission = ask(signed("a", "b", keys=keys), access)

    assert (admission.channels, admission.expires_at) == (("a", "b"), NOW + 60)


WITHOUT_A_VERDICT = [
    ("", Access(private=True), "a signed URL is needed"),
    ("channel=a", Access(hook_sees_one_channel=True), None),
    ("channel=a&channel=a", Access(hook_sees_one_channel=True), None),
    ("channel=a&channel=b", Access(hook_sees_one_channel=True), "need an authorizer"),
    ("channel=a&channel=b", Access(), None),
]


@pytest.mark.parametrize(("query", "access", "words"), WITHOUT_A_VERDICT)
def test_without_an_authorizer(query, access, words):
    """Privacy, and a hook that looks at one channel, are decided without asking."""
    decided = ask(query, access)

    if words is None:
        assert isinstance(decided, Admission)
    else:
        assert decided.status == 403
        assert words in decided.text


@pytest.mark.parametrize(
    ("private", "verdict", "is_let_in"),
    [
        (True, True, True),
        (True, None, False),
        (True, False, False),
        (False, True, True),
        (False, None, True),
        (False, False, False),
    ],
)
@pytest.mark.parametrize("hook_sees_one_channel", [True, False])
def test_with_an_authorizer(private, verdict, is_let_in, hook_sees_one_channel):
    """It is asked about all channels at once, sorted, and its verdict is the decision."""
    access = Access(
        private=private, has_authorizer=True, hook_sees_one_channel=hook_sees_one_channel
    )
    asked = ask("channel=b&channel=a", access)
    assert isinstance(asked, NeedsVerdict)
    assert asked.channels == ("a", "b")

    decided = asked.settle(verdict)

    refusal = Refusal(403, "not allowed to listen to these channels")
    assert decided == (ask("channel=b&channel=a") if is_let_in else refusal)


def test_a_verdict_that_is_none():
    """It lets nobody in, and is no refusal either: the application has a mistake."""
    with pytest.raises(TypeError, match="True, False or None, not 'yes'"):
        ask(access=Access(has_authorizer=True)).settle("yes")


def access_with(compression=None, *, channels=(), **options):
    config = HubConfig(
        compression=compression,
        channels={name: {"compression": value} for name, value in channels},
    )
    return Access(channels=config.channel_patterns, keys=KEYS, **options)


GZIP = {"accept-encoding": "gzip"}.items()
MIXED = (("no", None), ("b*", "blocks"), ("w*", "shared-window"))

CODINGS = [
    ("", access_with(), Coding.IDENTITY),
    ("", access_with("blocks"), Coding.GZIP_BLOCKS),
    ("", access_with("shared-window"), Coding.GZIP_WINDOW),
    # The least of what its channels allow
    ("channel=no", access_with("blocks", channels=MIXED), Coding.IDENTITY),
    ("channel=w1", access_with(channels=MIXED), Coding.GZIP_WINDOW),
    ("channel=w1&channel=w2", access_with(channels=MIXED), Coding.GZIP_WINDOW),
    ("channel=w1&channel=b", access_with(channels=MIXED), Coding.GZIP_BLOCKS),
    ("channel=w1&channel=x", access_with(channels=MIXED), Coding.IDENTITY),
    ("channel=w&channel=b&channel=no", access_with("blocks", channels=MIXED), Coding.IDENTITY),
    # In private, one block for each event
    ("channel=a", access_with("blocks", hook_sees_one_channel=True), Coding.GZIP_EVENTS),
    (signed("a"), access_with(), Coding.IDENTITY),
    (signed("a"), access_with("blocks"), Coding.GZIP_EVENTS),
    (signed("a"), access_with("shared-window"), Coding.GZIP_EVENTS),
    (signed("a"), access_with("blocks", private=True), Coding.GZIP_EVENTS),
    (signed("a"), access_with("blocks", has_authorizer=True), Coding.GZIP_EVENTS),
]  # fmt: skip


@pytest.mark.parametrize(("query", "access", "coding"), CODINGS)
def test_codings(query, access, coding):
    """By what the channels allow and who may have the stream, if the client accepts gzip."""
    assert ask(query, access, headers=GZIP).coding is coding
    assert ask(query, access).coding is Coding.IDENTITY


@pytest.mark.parametrize("private", [True, False])
def test_the_coding_of_a_stream_with_a_verdict(private):
    """An authorizer does not know what else is in a block, so it holds one event."""
    access = access_with("blocks", has_authorizer=True, private=private)

    assert ask("", access, headers=GZIP).settle(True).coding is Coding.GZIP_EVENTS


@pytest.mark.parametrize("guard", ["private", "has_authorizer", "hook_sees_one_channel"])
def test_no_window_behind_a_guard(guard):
    """Not even where the configuration was not checked."""
    access = access_with("shared-window")
    # As if the check had been forgotten.
    object.__setattr__(access, guard, True)

    decided = ask(signed("a"), access, headers=GZIP)
    if guard == "has_authorizer":
        assert ask("", access, headers=GZIP).admission.coding is Coding.GZIP_EVENTS

    assert decided.coding is Coding.GZIP_EVENTS


def by_view(*channels, query="", options=None, method="POST", headers=(), **wanted):
    request = asked(query, method=method, headers=headers)
    access = options or access_with()
    return admission_by_view(request, channels, access.channels, now=NOW, **wanted)


# What a view asks for, and what the admission has other than a plain one.
BY_VIEW = [
    pytest.param({}, {}, id="plain"),
    pytest.param({"query": "channel=x&token=x&start=start&strat=1"}, {}, id="not-ours"),
    pytest.param({"query": "lastEventId=1-1"}, {"last_event_id": "1-1"}, id="an-id"),
    pytest.param({"start": 3}, {"start": Start.parse(3)}, id="a-start"),
    pytest.param({"expires_in": 60}, {"expires_at": NOW + 60}, id="seconds"),
    pytest.param(
        {"expires_in": timedelta(minutes=1)}, {"expires_at": NOW + 60}, id="a-timedelta"
    ),
    pytest.param({"is_traced": True}, {"is_traced": True}, id="traced"),
]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(("wanted", "expected"), BY_VIEW)
def test_admission_by_a_view(wanted, expected, method):
    """The view has decided: of the request only the id counts."""
    assert by_view("b", "a", "b", method=method, **wanted) == Admission(
        ("a", "b"), address="192.0.2.1", arrived_at=5, **expected
    )


@pytest.mark.parametrize("query", ["lastEventId=" + "x" * 9000, "&" * 1000])
def test_a_bad_request_to_a_view(query):
    """It is the client's mistake."""
    assert by_view("a", query=query).status == 400


@pytest.mark.parametrize(
    ("channels", "wanted"),
    [([], {}), (["a\n"], {}), (["a"], {"start": "x"}), (["a"], {"expires_in": -1})],
)
def test_a_mistake_of_a_view(channels, wanted):
    """It is raised, also where the client made one as well."""
    with pytest.raises(InvalidFieldError):
        by_view(*channels, query="&" * 1000, **wanted)


@pytest.mark.parametrize(
    ("compression", "coding"),
    [
        (None, Coding.IDENTITY),
        ("blocks", Coding.GZIP_EVENTS),
        ("shared-window", Coding.GZIP_EVENTS),
    ],
)
def test_the_coding_of_a_stream_by_a_view(compression, coding):
    """Each event is compressed alone: whom the view lets in is not known."""
    admission = by_view("a", options=access_with(compression), headers=GZIP)

    assert admission.coding is coding
