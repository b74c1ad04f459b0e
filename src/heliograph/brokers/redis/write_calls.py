"""
Calls that write: store an event and announce it, retain an entry no longer, begin anew.

Each class has the arguments of its script in ``lua/``, and parses what that returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...channels.position import Position
from .calls import ALL_KEYS, OWN_KEYS, Call, new_script, parse_position
from .scripts import Request

if TYPE_CHECKING:
    from .scripts import Reply

__all__ = ["Announce", "Append", "Appended", "Refused", "Release", "Restart", "dump_terms"]

# Lengths of replies that say why nothing was done: alone, or with an entry.
_REFUSALS = {1, 4}


def dump_terms(
    *,
    kept_as: bytes = b"",
    once_as: bytes = b"",
    is_end: bool = False,
    max_retained: int = 1,
) -> bytes:
    """
    Return what an append is to do beside storing the event; nothing for most of them.

    One argument instead of four: each costs time, also if it is empty.

    Args:
        kept_as: ``@`` and the key under which the event is retained; nothing for none.
        once_as: ``!`` and the idempotency key; nothing for none.
        is_end: Whether the channel ends with it.
        max_retained: Number of entries that are retained at most.
    """
    if not kept_as and not once_as and not is_end:
        return b""
    return b"%d %d %d %b%b" % (is_end, max_retained, len(kept_as), kept_as, once_as)


@dataclass(slots=True, kw_only=True)
class Append(Call):
    """
    Store an event as the next of its channel, trim, and publish it.

    Args:
        max_entries: Number of entries that are kept.
        publish_command: ``SPUBLISH`` in a cluster.
        live_channel: The pub/sub channel of the channel's entries.
        is_announced: Whether an :class:`Announce` follows, and nobody sees it before.
        is_repeat: Whether it may have been stored already.
        after_epoch: Of a position before that of the first try; ``""`` for none.
        after_offset: Of that position.
        plain_channel: The pub/sub channel for programs that know nothing of Heliograph;
            ``""`` for none.
        plain_message: What is published there.
        id_field: The field of the index: ``=`` and the publisher's own id; ``""`` for none.
        terms: What :func:`dump_terms` returns.
        event: As :func:`.values.dump_event` writes it.
        token: Of this append and its repetitions; no other has it.
    """

    max_entries: int
    publish_command: Literal["PUBLISH", "SPUBLISH"]
    live_channel: str
    is_announced: bool = False
    is_repeat: bool = False
    after_epoch: str = ""
    after_offset: int = 0
    plain_channel: str = ""
    plain_message: str = ""
    id_field: str = ""
    terms: bytes = b""
    event: str
    token: str

    def request(self, count: int = ALL_KEYS) -> Request:
        """Return what is sent. Most appends to a channel may be joined."""
        is_special = (
            self.is_announced
            or self.is_repeat
            or self.plain_channel
            or self.id_field
            or self.terms
        )
        if is_special:
            return Call.request(self, count)
        return Request(
            self.script,
            self.keys[:count],
            lambda: self.arguments()[:-2],
            (self.event, self.token),
        )

    @property
    def least_keys(self) -> int:
        """More for what is retained, or has an idempotency key."""
        if not self.terms:
            return OWN_KEYS
        _, _, length, texts = self.terms.split(b" ", 3)
        return 4 if length != b"0" else 3 if texts else OWN_KEYS

    @staticmethod
    def parse(reply: Reply) -> Appended | Refused:
        """
        Return what the script's reply says.

        Args:
            reply: The reply.
        """
        refused = Refused.parse(reply)
        if refused is not None:
            return refused
        epoch, offset, at, *known = reply
        position = Position(epoch.decode(), int(offset))
        return Appended(position, at.decode(), *known)


class Appended(NamedTuple):
    """
    Where an event was stored.

    Args:
        position: Its position.
        at: When it was published: seconds since the epoch of Unix, as Redis wrote them.
        known_token: If an entry has the idempotency key already: its token.
        known_event: And that entry's event as it is stored.
    """

    position: Position
    at: str
    known_token: bytes | None = None
    known_event: bytes = b""


@dataclass(frozen=True, slots=True)
class Refused:
    """
    Why a script has changed nothing.

    Args:
        reason: The channel has ended; it has as many retained entries as it may; or its
            newest entry has to be announced first.
        unshown: The position of the newest entry if that is not announced yet.
        token: Of that entry.
    """

    reason: str
    unshown: Position | None = None
    token: bytes = b""

    @staticmethod
    def parse(reply: Reply) -> Refused | None:
        """
        Return why a call was refused; :obj:`None` if it was not.

        Args:
            reply: The script's reply.
        """
        if len(reply) not in _REFUSALS:
            return None
        reason, *entry = reply
        if not entry:
            return Refused(reason.decode())
        epoch, offset, token = entry
        position = Position(epoch.decode(), int(offset))
        return Refused(reason.decode(), position, token)


@dataclass(slots=True, kw_only=True)
class Announce(Call):
    """
    Publish an entry that was stored, and those before it; readers get them from now on.

    Args:
        stored_epoch: Of the entry's position.
        stored_offset: Of that position.
        token: Of the append that has stored it; as bytes if it was read and may be no text.
        is_repeat: Whether it may have been announced already.
        publish_command: ``SPUBLISH`` in a cluster.
        live_channel: The pub/sub channel of the channel's entries.
        plain_channel: The pub/sub channel for programs that know nothing of Heliograph;
            ``""`` for none.
        plain_message: What is published there.
        kept_as: ``@`` and the key under which the event is retained; ``""`` for none.
    """

    stored_epoch: str
    stored_offset: int
    token: str | bytes
    is_repeat: bool
    publish_command: Literal["PUBLISH", "SPUBLISH"]
    live_channel: str
    plain_channel: str = ""
    plain_message: str = ""
    kept_as: bytes = b""

    needs_no_row = False

    @staticmethod
    def parse(reply: Reply) -> Position | None:
        """
        Return the entry's position; :obj:`None` if the entry is gone.

        Args:
            reply: The script's reply.
        """
        return parse_position(reply)


@dataclass(slots=True, kw_only=True)
class Release(Call):
    """
    Retain an entry no longer.

    Args:
        kept_as: ``@`` and the key of a retained entry.
    """

    kept_as: bytes

    needs_no_row = False


@dataclass(slots=True, kw_only=True)
class Restart(Call):
    """Begin a channel anew after its head, without history and retained entries."""

    @staticmethod
    def parse(reply: Reply) -> Position | Refused:
        """
        Return the head, or why nothing was done.

        Args:
            reply: The script's reply.
        """
        refused = Refused.parse(reply)
        if refused is not None:
            return refused
        epoch, offset = reply
        return Position(epoch.decode(), int(offset))


Append.script = new_script("append", Append, uses=["state"], appends=True)
Announce.script = new_script("announce", Announce, follows=True)
Release.script = new_script("release", Release, uses=["state"], changes=True)
Restart.script = new_script("restart", Restart, uses=["state"], changes=True)
