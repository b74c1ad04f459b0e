"""
What each script is told, and what it returns: the one place that knows their arguments.

A call is a dataclass. Its fields, those of :class:`Caller` first, are in their order the
script's variables of the same names: the line of Lua that assigns them is generated from
the fields. So an argument is added here and used by its name in ``lua/``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...channels.position import Position
from .scripts import Reply, Request, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .names import Keys
    from .seen import Seen

__all__ = ["Announce", "Append", "Appended", "Call", "Caller", "Find", "Read", "ReadPage"]


class Caller(NamedTuple):
    """
    What every script is told about who calls it.

    Args:
        new_epoch: The epoch of a life that this call may have to begin.
        history_seconds: Age up to which entries are kept, where no publisher has set one.
        forget_seconds: Time without a call after which a channel's row expires.
        unstored_epoch: Name of the common life where Redis cannot store one.
        now: Seconds since the epoch of Unix; ``""`` for Redis's own clock.
        seen_epoch: Of the position that the caller saw last; ``""`` for none.
        seen_offset: Of that position.
        seen_token: Of the entry at that position; ``""`` if it is unknown.
        seen_at: When that entry was published.
    """

    new_epoch: str
    history_seconds: float
    forget_seconds: int
    unstored_epoch: str
    now: str = ""
    seen_epoch: str = ""
    seen_offset: int = 0
    seen_token: str = ""
    seen_at: str = ""

    def having_seen(self, seen: Seen | None) -> Caller:
        """
        Return the same caller with what it saw last in the channel.

        Args:
            seen: The last known position; :obj:`None` for none.
        """
        if seen is None:
            return self
        return self._replace(
            seen_epoch=seen.position.epoch,
            seen_offset=seen.position.offset,
            seen_token=seen.token,
            seen_at=seen.at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One call of a script.

    Args:
        keys: Of the channel.
        caller: Who calls.
    """

    keys: Keys
    caller: Caller

    @property
    def script(self) -> Script:
        """The script that this calls."""
        raise NotImplementedError

    def request(self, *, with_common: bool = True) -> Request:
        """
        Return what is sent.

        Args:
            with_common: Whether the key of the common life is named. Without it a script
                that needs it returns nothing, and has changed nothing.
        """
        own = self.script.variables[len(Caller._fields) :]
        keys = self.keys if with_common else self.keys[:2]
        arguments = [*self.caller, *(_encode(getattr(self, name)) for name in own)]
        return Request(self.script, keys, arguments)


def _encode(value: str | bytes | float) -> str | bytes | float:
    # The driver takes no bool.
    return int(value) if isinstance(value, bool) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Append(Call):
    """
    Store an event as the next of its channel, trim, and publish it.

    Args:
        event: As :func:`.values.dump_event` writes it.
        max_entries: Number of entries that are kept.
        publish_command: ``SPUBLISH`` in a cluster.
        live_channel: The pub/sub channel of the channel's entries.
        token: Of this append and its repetitions; no other has it.
        is_announced: Whether an :class:`Announce` follows, and nobody sees it before.
        is_repeat: Whether it may have been stored already.
        after_epoch: Of a position before that of the first try; ``""`` for none.
        after_offset: Of that position.
        plain_channel: The pub/sub channel for programs that know nothing of Heliograph;
            ``""`` for none.
        plain_message: What is published there.
        id_field: The field of the index: ``=`` and the publisher's own id; ``""`` for none.
    """

    event: str
    max_entries: int
    publish_command: Literal["PUBLISH", "SPUBLISH"]
    live_channel: str
    token: str
    is_announced: bool = False
    is_repeat: bool = False
    after_epoch: str = ""
    after_offset: int = 0
    plain_channel: str = ""
    plain_message: str = ""
    id_field: str = ""

    @property
    def script(self) -> Script:
        """The script that this calls."""
        return _APPEND

    @staticmethod
    def parse(reply: Reply) -> Appended:
        """
        Return what the script's reply says.

        Args:
            reply: The reply.
        """
        epoch, offset, at = reply
        return Appended(Position(epoch.decode(), int(offset)), at.decode())


@dataclass(frozen=True, slots=True)
class Appended:
    """
    Where an event was stored.

    Args:
        position: Its position.
        at: When it was published: seconds since the epoch of Unix, as Redis wrote them.
    """

    position: Position
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce(Call):
    """
    Publish an entry that was stored, and those before it; readers get them from now on.

    Args:
        stored_epoch: Of the entry's position.
        stored_offset: Of that position.
        token: Of the append that has stored it.
        is_repeat: Whether it may have been announced already.
        publish_command: ``SPUBLISH`` in a cluster.
        live_channel: The pub/sub channel of the channel's entries.
        plain_channel: The pub/sub channel for programs that know nothing of Heliograph;
            ``""`` for none.
        plain_message: What is published there.
    """

    stored_epoch: str
    stored_offset: int
    token: str
    is_repeat: bool
    publish_command: Literal["PUBLISH", "SPUBLISH"]
    live_channel: str
    plain_channel: str = ""
    plain_message: str = ""

    @property
    def script(self) -> Script:
        """The script that this calls."""
        return _ANNOUNCE

    @staticmethod
    def parse(reply: Reply) -> Position | None:
        """
        Return the entry's position; :obj:`None` if the entry is gone.

        Args:
            reply: The script's reply.
        """
        return _position(reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Call):
    """
    Read what follows a position.

    Args:
        after_epoch: Of that position; ``""`` for the oldest entry held.
        after_offset: Of that position.
        max_entries: Number of entries that are returned at most; 0 for none.
        max_bytes: Size of their events together at which the page ends; it has at least
            one entry.
    """

    after_epoch: str = ""
    after_offset: int = 0
    max_entries: int
    max_bytes: int

    @property
    def script(self) -> Script:
        """The script that this calls."""
        return _READ

    @staticmethod
    def parse(reply: Reply) -> ReadPage:
        """
        Return what the script's reply says.

        Args:
            reply: The reply.
        """
        epoch, head, oldest, same, rows, token, at = reply
        return ReadPage(
            head=Position(epoch.decode(), int(head)),
            oldest_offset=int(oldest),
            same_until=int(same) if same else None,
            rows=rows,
            head_token=token.decode(),
            head_at=at.decode(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPage:
    """
    A part of a channel's history, as it is stored.

    Args:
        head: The channel's newest position.
        oldest_offset: Of the oldest entry held; one more than the head's if none is.
        same_until: Offset up to which the life of the position asked for is the same as the
            present one; :obj:`None` if it is not known.
        rows: The entries: what :func:`.values.load_row` reads.
        head_token: Of the entry at the head; ``""`` if it is not held.
        head_at: When that entry was published; the present time if it is not held.
    """

    head: Position
    oldest_offset: int
    same_until: int | None
    rows: Sequence[Reply]
    head_token: str
    head_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Find(Call):
    """
    Find the one entry with an id of the publisher's own.

    Args:
        event_id: The id, in UTF-8 or whatever a client sent.
    """

    event_id: bytes

    @property
    def script(self) -> Script:
        """The script that this calls."""
        return _FIND

    @staticmethod
    def parse(reply: Reply) -> Position | None:
        """
        Return the entry's position; :obj:`None` if there is none, or more than one.

        Args:
            reply: The script's reply.
        """
        return _position(reply)


def _position(reply: Reply) -> Position | None:
    if reply is None:
        return None
    epoch, offset = reply
    return Position(epoch.decode(), int(offset))


def _new_script(
    name: str, call: type[Call], *, appends: bool = False, follows: bool = False
) -> Script:
    own = [one.name for one in fields(call) if one.name not in {"keys", "caller"}]
    return Script(name, (*Caller._fields, *own), appends=appends, follows=follows)


_APPEND = _new_script("append", Append, appends=True)
_ANNOUNCE = _new_script("announce", Announce, follows=True)
_READ = _new_script("read", Read)
_FIND = _new_script("find", Find)
