"""Calls of scripts: each argument reaches the variable of its name, and replies are parsed."""

import re
from dataclasses import replace

import pytest

from heliograph.brokers.epoch import new_epoch
from heliograph.brokers.redis.calls import Caller
from heliograph.brokers.redis.names import Names
from heliograph.brokers.redis.read_calls import (
    Find,
    Read,
    ReadPage,
    ReadRetained,
    ReadRetainedAs,
    RetainedPage,
)
from heliograph.brokers.redis.seen import Seen
from heliograph.brokers.redis.write_calls import (
    Announce,
    Append,
    Appended,
    Refused,
    Release,
    Restart,
    dump_terms,
)
from heliograph.channels.position import Position

KEYS = Names("p:").keys("a")
CALLER = Caller(history_seconds=5.5, forget_seconds=60, unstored_epoch="un")
OF_CALLER = {
    "now": "",
    "history_seconds": 5.5,
    "forget_seconds": 60,
    "seen_epoch": "",
    "seen_offset": 0,
    "seen_token": "",
    "seen_at": "",
    "unstored_epoch": "un",
}
APPEND = Append(
    keys=KEYS,
    caller=CALLER,
    event="{}",
    max_entries=7,
    publish_command="PUBLISH",
    live_channel="live",
    token="t",
    is_repeat=True,
    after_epoch="e",
    after_offset=3,
    plain_channel="plain",
    plain_message="text",
    id_field="=id",
    terms=dump_terms(kept_as=b"@k", once_as=b"!o", is_end=True, max_retained=6),
)
ANNOUNCE = Announce(
    keys=KEYS,
    caller=CALLER,
    stored_epoch="e",
    stored_offset=3,
    token="t",
    is_repeat=True,
    publish_command="PUBLISH",
    live_channel="live",
    plain_channel="plain",
    plain_message="text",
    kept_as=b"@k",
)
READ = Read(
    keys=KEYS, caller=CALLER, after_epoch="e", after_offset=3, max_entries=7, max_bytes=9
)
FIND = Find(keys=KEYS, caller=CALLER, event_id=b"id")
RETAINED = ReadRetained(keys=KEYS, caller=CALLER, after="3", max_entries=7, max_bytes=9)
RETAINED_AS = ReadRetainedAs(keys=KEYS, caller=CALLER, kept_as=b"@k")
RELEASE = Release(keys=KEYS, caller=CALLER, kept_as=b"@k")
RESTART = Restart(keys=KEYS, caller=CALLER)

# A call, and its own variables. Add a row, not a test.
CALLS = [
    pytest.param(
        APPEND,
        {
            "event": "{}",
            "max_entries": 7,
            "publish_command": "PUBLISH",
            "live_channel": "live",
            "token": "t",
            "is_announced": 0,
            "is_repeat": 1,
            "after_epoch": "e",
            "after_offset": 3,
            "plain_channel": "plain",
            "plain_message": "text",
            "id_field": "=id",
            "terms": b"1 6 2 @k!o",
        },
        id="append",
    ),
    pytest.param(
        ANNOUNCE,
        {
            "stored_epoch": "e",
            "stored_offset": 3,
            "token": "t",
            "is_repeat": 1,
            "publish_command": "PUBLISH",
            "live_channel": "live",
            "plain_channel": "plain",
            "plain_message": "text",
            "kept_as": b"@k",
        },
        id="announce",
    ),
    pytest.param(
        READ,
        {
            "after_epoch": "e",
            "after_offset": 3,
            "max_entries": 7,
            "max_bytes": 9,
            "listens": 0,
        },
        id="read",
    ),
    pytest.param(FIND, {"event_id": b"id"}, id="find"),
    pytest.param(RETAINED, {"after": "3", "max_entries": 7, "max_bytes": 9}, id="retained"),
    pytest.param(RETAINED_AS, {"kept_as": b"@k"}, id="retained-as"),
    pytest.param(RELEASE, {"kept_as": b"@k"}, id="release"),
    pytest.param(RESTART, {}, id="restart"),
]


@pytest.mark.parametrize(("call", "own"), CALLS)
def test_request(call, own):
    """Arguments are in the order in which the script unpacks them."""
    request = call.request()
    header = re.search(
        r"^local (.*) = unpack\(ARGV\)$", request.script.source, re.MULTILINE
    )

    epoch, *arguments = (*request.arguments(), *request.own)
    assert len(epoch) == len(new_epoch())
    names = header[1].split(", ")
    assert names[0] == "new_epoch"
    assert dict(zip(names[1:], arguments, strict=True)) == OF_CALLER | own
    assert request.keys == KEYS
    assert not any(isinstance(one, bool) for one in arguments)


@pytest.mark.parametrize(("call", "own"), CALLS)
def test_every_variable_is_used(call, own):
    """What a script is told and does not need would be sent with each call for nothing."""
    _, _, lua = call.script.source.partition("unpack(ARGV)")
    without_comments = re.sub(r"--.*", "", lua)

    for name in own:
        assert re.search(rf"\b{name}\b", without_comments), name


def test_joined():
    """Some appends are sent as one, with the newest that is known of the channel."""
    plain = replace(APPEND, is_repeat=False, plain_channel="", id_field="", terms=b"")
    seen = CALLER.having_seen(Seen(Position("e", 4), "t", "12.5"))
    first = plain.request(2)
    last = replace(plain, caller=seen, event="{1}", token="u").request(2)

    words = last.pack([first]).split(b"\r\n")[2::2]

    header = [
        b"EVALSHA",
        plain.script.sha.encode(),
        b"2",
        *(key.encode() for key in KEYS[:2]),
    ]
    assert words[:5] == header
    given = len(plain.script.variables)
    assert words[5 + given - 2 :] == [b"{}", b"t", b"{1}", b"u"]
    assert [word.decode() for word in words[9:13]] == ["", "e", "4", "t"]
    replies = [last.own_reply([b"e", b"7", b"12.5"], n) for n in (1, 2)]
    assert [Append.parse(one).position.offset for one in replies] == [8, 9]
    assert last.own_reply([b"ended"], 1) == [b"ended"]
    assert not APPEND.request().own


def test_scripts_differ():
    """Only one of them appends, and each has a name of its own."""
    scripts = [call.values[0].script for call in CALLS]

    assert [script for script in scripts if script.appends] == [APPEND.script]
    assert {script for script in scripts if script.changes} == {
        RELEASE.script,
        RESTART.script,
    }
    assert len({script.sha for script in scripts}) == len(CALLS)


def test_some_keys():
    """A call can leave out the keys that most channels do not have, as in a cluster."""
    assert READ.request(2).keys == ("p:{a}:channel", "p:{a}:events")
    assert (READ.least_keys, RESTART.least_keys) == (2, 2)
    needed = [
        (dump_terms(kept_as=b"@ "), 4),
        (dump_terms(once_as=b"! "), 3),
        (dump_terms(is_end=True), 2),
        (dump_terms(), 2),
    ]
    for terms, count in needed:
        assert replace(APPEND, terms=terms).least_keys == count


def test_having_seen():
    """All that identifies an entry is told; the rest stays."""
    told = CALLER.having_seen(Seen(Position("e", 4), "t", "12.5"))

    assert (told.seen_epoch, told.seen_offset) == ("e", 4)
    assert (told.seen_token, told.seen_at) == ("t", "12.5")
    assert told.forget_seconds == 60
    assert told._asdict().keys() == OF_CALLER.keys()
    assert CALLER.having_seen(None) is CALLER


# A call, what its script replied, what that means. Add a row, not a test.
REPLIES = [
    pytest.param(
        Append, [b"e", b"4", b"12.5"], Appended(Position("e", 4), "12.5"), id="append"
    ),
    pytest.param(
        Append,
        [b"e", b"4", b"12.5", b"t", b"{}"],
        Appended(Position("e", 4), "12.5", b"t", b"{}"),
        id="append-what-is-known",
    ),
    pytest.param(Append, [b"full"], Refused("full"), id="append-too-many"),
    pytest.param(
        Append,
        [b"ended", b"e", b"4", b"t"],
        Refused("ended", Position("e", 4), b"t"),
        id="append-after-an-end-that-is-not-announced",
    ),
    pytest.param(Restart, [b"e", b"4"], Position("e", 4), id="restart"),
    pytest.param(
        Restart,
        [b"unshown", b"e", b"4", b"t"],
        Refused("unshown", Position("e", 4), b"t"),
        id="restart-before-an-announcement",
    ),
    pytest.param(
        ReadRetained,
        [b"e", b"4", [[b"3", b"x"]]],
        RetainedPage(Position("e", 4), [[b"3", b"x"]]),
        id="retained",
    ),
    pytest.param(
        ReadRetainedAs,
        [b"e", b"4", b"3", b"x"],
        RetainedPage(Position("e", 4), [[b"3", b"x"]]),
        id="retained-as",
    ),
    pytest.param(
        ReadRetainedAs, [b"e", b"4"], RetainedPage(Position("e", 4), []), id="nothing-kept"
    ),
    pytest.param(
        Read,
        [b"e", b"4", b"2", b"3", [[b"4-0", []]], b"t", b"12.5", b"1", 1, 2],
        ReadPage(
            head=Position("e", 4),
            oldest_offset=2,
            same_until=3,
            rows=[[b"4-0", []]],
            head_token="t",
            head_at="12.5",
            began=1,
            has_ended=True,
            has_retained=True,
        ),
        id="read",
    ),
    pytest.param(
        Read,
        [b"e", b"0", b"1", b"", [], b"", b"12.5", b"0", 0, 0],
        ReadPage(
            head=Position("e", 0),
            oldest_offset=1,
            same_until=None,
            rows=[],
            head_token="",
            head_at="12.5",
        ),
        id="read-another-life",
    ),
    pytest.param(Announce, [b"e", b"4"], Position("e", 4), id="announce"),
    pytest.param(Announce, None, None, id="announce-what-is-gone"),
    pytest.param(Find, [b"e", b"4"], Position("e", 4), id="find"),
    pytest.param(Find, None, None, id="find-nothing"),
]


@pytest.mark.parametrize(("call", "reply", "expected"), REPLIES)
def test_parse(call, reply, expected):
    """Replies are bytes; what callers get is not."""
    assert call.parse(reply) == expected
