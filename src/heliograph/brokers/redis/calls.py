"""
What every script is told, and how a call of one is written.

The calls themselves are in :mod:`.read_calls` and :mod:`.write_calls`.

A call is a dataclass. Its fields, those of :class:`Caller` first, are in their order the
script's variables of the same names: the line of Lua that assigns them is generated from
the fields. So an argument is added here and used by its name in ``lua/``. Before them comes
``new_epoch``: the epoch of a life that the call may have to begin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ...channels.position import Position
from ..epoch import new_epoch
from .scripts import Request, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .names import Keys
    from .scripts import Argument, Reply
    from .seen import Seen

__all__ = ["ALL_KEYS", "OWN_KEYS", "Call", "Caller", "new_script", "parse_position"]

ALL_KEYS = 5
"""Number of keys of a channel, with that of the common life."""

OWN_KEYS = 2
"""Number of keys that each channel with entries has."""


class Caller(NamedTuple):
    """
    What every script is told about who calls it.

    Args:
        history_seconds: Age up to which entries are kept, where no publisher has set one.
        forget_seconds: Time without a call after which a channel's row expires.
        unstored_epoch: Name of the common life where Redis cannot store one.
        now: Seconds since the epoch of Unix; ``""`` for Redis's own clock.
        seen_epoch: Of the position that the caller saw last; ``""`` for none.
        seen_offset: Of that position.
        seen_token: Of the entry at that position; ``""`` if it is unknown.
        seen_at: When that entry was published.
    """

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
        position, token, at = seen
        return Caller(
            self.history_seconds,
            self.forget_seconds,
            self.unstored_epoch,
            self.now,
            position.epoch,
            position.offset,
            token,
            at,
        )


@dataclass(slots=True, kw_only=True)
class Call:
    """
    One call of a script.

    Nobody changes it. It is not frozen because that takes longer, for each event, than
    encoding the event does.

    Args:
        keys: Of the channel.
        caller: Who calls.
    """

    keys: Keys
    caller: Caller

    script: ClassVar[Script]

    # Whether the call is also for channels that have no row.
    needs_no_row: ClassVar[bool] = True

    @property
    def least_keys(self) -> int:
        """Number of keys that the script needs, whatever channel it is."""
        return OWN_KEYS

    def request(self, count: int = ALL_KEYS) -> Request:
        """
        Return what is sent.

        Args:
            count: Number of keys that are named. A script that needs more returns how
                many, as an integer, and has changed nothing.
        """
        return Request(self.script, self.keys[:count], self.arguments)

    def arguments(self) -> list[Argument]:
        """Return the script's arguments."""
        own = self.script.variables[1 + len(Caller._fields) :]
        values = (getattr(self, name) for name in own)
        return [new_epoch(), *self.caller, *map(_encode, values)]


def _encode(value: Argument) -> Argument:
    return int(value) if isinstance(value, bool) else value


def new_script(
    name: str,
    call: type[Call],
    *,
    uses: Sequence[str] = (),
    appends: bool = False,
    follows: bool = False,
    changes: bool = False,
) -> Script:
    """
    Return a script whose variables are the fields of a call.

    Args:
        name: See :class:`~.scripts.Script`, also for the others.
        call: The class of its calls.
        uses: Files of functions that it uses.
        appends: Whether it stores an entry.
        follows: Whether it follows one that does.
        changes: Whether it changes a channel in another way.
    """
    own = [one.name for one in fields(call) if one.name not in {"keys", "caller"}]
    return Script(
        name,
        ("new_epoch", *Caller._fields, *own),
        uses=uses,
        appends=appends,
        follows=follows,
        changes=changes,
    )


def parse_position(reply: Reply) -> Position | None:
    """
    Return the position in a reply; :obj:`None` if there is none.

    Args:
        reply: Epoch and offset, and perhaps more; or nothing.
    """
    if reply is None:
        return None
    epoch, offset = reply[:2]
    return Position(epoch.decode(), int(offset))
