"""Calls of scripts: each argument reaches the variable of its name, and replies are parsed."""

import re

import pytest

from heliograph.brokers.redis.calls import (
    Announce,
    Append,
    Appended,
    Caller,
    Find,
    Read,
    ReadPage,
)
from heliograph.brokers.redis.names import Names
from heliograph.brokers.redis.seen import Seen
from heliograph.channels.position import Position

KEYS = Names("p:").keys("a")
CALLER = Caller(
    new_epoch="new", history_seconds=5.5, forget_seconds=60, unstored_epoch="un"
)
OF_CALLER = {
    "new_epoch": "new",
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
)
READ = Read(
    keys=KEYS, caller=CALLER, after_epoch="e", after_offset=3, max_entries=7, max_bytes=9
)
FIND = Find(keys=KEYS, caller=CALLER, event_id=b"id")

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
        },
        id="announce",
    ),
    pytest.param(
        READ,
        {"after_epoch": "e", "after_offset": 3, "max_entries": 7, "max_bytes": 9},
        id="read",
    ),
    pytest.param(FIND, {"event_id": b"id"}, id="find"),
]


@pytest.mark.parametrize(("call", "own"), CALLS)
def test_request(call, own):
    """Arguments are in the order in which the script unpacks them."""
    script, keys, arguments = call.request()
    header = re.search(r"^local (.*) = unpack\(ARGV\)$", script.source, re.MULTILINE)

    names = header[1].split(", ")
    assert dict(zip(names, arguments, strict=True)) == OF_CALLER | own
    assert keys == ("p:{a}:channel", "p:{a}:events", "p:epoch")
    assert not any(isinstance(one, bool) for one in arguments)


@pytest.mark.parametrize(("call", "own"), CALLS)
def test_every_variable_is_used(call, own):
    """What a script is told and does not need would be sent with each call for nothing."""
    _, _, lua = call.script.source.partition("unpack(ARGV)")
    without_comments = re.sub(r"--.*", "", lua)

    for name in own:
        assert re.search(rf"\b{name}\b", without_comments), name


def test_scripts_differ():
    """Only one of them appends, and each has a name of its own."""
    scripts = [call.script for call in (APPEND, ANNOUNCE, READ, FIND)]

    assert [script.appends for script in scripts] == [True, False, False, False]
    assert len({script.sha for script in scripts}) == 4


def test_without_the_common_key():
    """A call can leave it out, as in a cluster."""
    assert READ.request(with_common=False).keys == ("p:{a}:channel", "p:{a}:events")


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
        Read,
        [b"e", b"4", b"2", b"3", [[b"4-0", []]], b"t", b"12.5"],
        ReadPage(
            head=Position("e", 4),
            oldest_offset=2,
            same_until=3,
            rows=[[b"4-0", []]],
            head_token="t",
            head_at="12.5",
        ),
        id="read",
    ),
    pytest.param(
        Read,
        [b"e", b"0", b"1", b"", [], b"", b"12.5"],
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
