"""
The scripts that run inside Redis, atomically.

Their Lua is in ``lua/``; :mod:`.read_calls` and :mod:`.write_calls` say what each is told
and what it returns.

**A channel begins with its first append.** Until then it has no key: readers get a position
at offset 0 in a life that all such channels share (a *common* life). A common life is named
by one key and by the number of the week. Rows of channels expire, and nobody notices that.
So a position in a common life holds for four weeks, which is less than a row lasts: within
that time no row can have come and gone. Where rows last less than a month, a fraction of a
week takes the place of the week.

**Data may return in an older state** (a snapshot was restored; a replica was promoted that
lacked some entries). So callers say what they saw last, and if that is no longer there the
channel begins another life. Otherwise offsets would be assigned a second time, and a
client that saw the first entry would take the second for known.

What was restored stays, as the beginning of the new life. What is newer than what callers
saw was published since, under offsets that other entries had before. So a channel remembers
its former lives, each with the offset up to which the new one is the same: positions up to
there are honoured, and clients beyond it resume from there.

**Ids of the publisher's own have an index** in the channel's hash: ``=id`` leads to the
newest entry with that id, ``<id`` to the one before it. Trimming an entry also removes its
fields. So an id is found, and known to be unique, whatever the history's length. Where
somebody else has removed entries, the index outgrows history: then it begins anew with the
next append, and nothing is found while history reaches back to before that (``ids``).

**Retained entries and idempotency keys** are in a sorted set: ``@key`` with the offset of
the retained entry, ``!key`` with the negative offset of the entry that has the idempotency
key. So both are found by key, retained entries are read in their order, and the keys of
trimmed entries are a range. Retained entries themselves are in a hash. The row's ``state``
says which of these two keys the channel has, when it began and whether it has ended; the
rows of most channels have no such field.

**Whatever is read may have been written by somebody else.** A malformed row counts as
missing, malformed numbers as 0, and entries outside of 1 to the head are ignored.

**An entry may have to be announced** (``replicas=all``). Then the append publishes nothing,
and readers get entries up to ``shown`` in the channel's hash, which moves on once replicas
have the entry. So nobody sees what a failover may undo.

A repeated append looks for the token of its first try before it stores anything.

Appends to one channel that wait at the same time may be joined in one call of their script.
Each event keeps a token of its own, so each append is repeated on its own.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PROBE", "Argument", "Reply", "Request", "Script", "pack"]

# Length of the reply to an append: epoch, offset and time.
_STORED = 3

Argument: TypeAlias = str | bytes | float

Reply: TypeAlias = Any
"""What a script returned: nested lists of bytes and integers, in the driver's own types."""


class Script:
    """
    A script, and the name under which Redis caches it.

    Args:
        name: The file in ``lua/`` that follows ``begin.lua``, without its suffix.
        uses: Files that come between the two.
        variables: Names that the script has for its arguments, in their order; none if
            ``begin.lua`` is left out. Their number is ``given`` there.
        appends: Whether the script stores an entry.
        follows: Whether the script follows one that does, and needs the same server.
        changes: Whether the script changes a channel, but stores no entry.

    Attributes:
        source: All of it, in Lua.
        variables: The names.
        sha: Its SHA-1 in hexadecimal, by which ``EVALSHA`` calls it.
    """

    def __init__(
        self,
        name: str,
        variables: Sequence[str] = (),
        *,
        uses: Sequence[str] = (),
        appends: bool = False,
        follows: bool = False,
        changes: bool = False,
    ) -> None:
        folder = files(__package__) / "lua"
        self.appends = appends
        self.follows = follows
        self.changes = changes
        self.variables = tuple(variables)
        parts = [(folder / f"{name}.lua").read_text("utf-8")]
        if variables:
            parts = [
                f"local appending = {str(appends).lower()}",
                f"local given = {len(variables)}",
                f"local {', '.join(variables)} = unpack(ARGV)",
                *((folder / f"{one}.lua").read_text("utf-8") for one in ("begin", *uses)),
                *parts,
            ]
        self.source = "\n".join(parts)
        # Redis names scripts by it; it guards nothing.
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class Request(NamedTuple):
    """
    One call of a script.

    Args:
        script: The script.
        keys: In the script's order.
        arguments: Returns those in the script's order, without the last of them if those
            are ``own``. It is called once the call is sent.
        own: The last arguments of a call that may be joined with others of the same script
            and keys: the script is called once, with the arguments of the last call and
            what is each one's own.
    """

    script: Script
    keys: Sequence[str]
    arguments: Callable[[], Sequence[Argument]] = tuple
    own: Sequence[str] = ()

    def pack(self, before: Sequence[Request] = ()) -> bytes:
        """
        Return the call in the protocol of Redis.

        Args:
            before: Calls that are joined with this one.
        """
        keys = self.keys
        words: list[Argument] = [
            "EVALSHA",
            self.script.sha,
            len(keys),
            *keys,
            *self.arguments(),
        ]
        for request in before:
            words += request.own
        words += self.own
        return pack(*words)

    @staticmethod
    def own_reply(reply: Reply, n: int) -> Reply:
        """
        Return the reply to a call that was joined with others.

        Args:
            reply: Of the script: that to the first of the calls. Each of the others has
                the next offset. What is no list of epoch, offset and time is for all.
            n: Number of calls before this one.
        """
        if not isinstance(reply, list) or len(reply) != _STORED:
            return reply
        epoch, offset, at = reply
        return [epoch, int(offset) + n, at]


def pack(*words: Argument) -> bytes:
    """
    Return a command in the protocol of Redis.

    Args:
        words: The command and its arguments.
    """
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        value = word if isinstance(word, bytes) else f"{word}".encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(value), value))
    return b"".join(parts)


PROBE = Script("probe")
"""A script that reads any key: a server that answers it answers the others."""
