"""The values that brokers take and return, and the rule where reading begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .token import new_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..channels.entry import Entry
    from ..channels.position import GapReason, Position

__all__ = [
    "PLAIN",
    "Attempt",
    "History",
    "Retained",
    "Retention",
    "RetentionPolicy",
    "Terms",
    "resolve",
]

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """
    How much a broker keeps of a channel. As a policy: the same for all channels.

    Args:
        events: Largest number of events in history, at least 1.
        seconds: Largest age of an event in history, above 0.
        forget_seconds: Seconds after which a channel is forgotten that has ended, or that
            nobody has published or listened to; above 0. A channel with history is kept
            for ``seconds``, if that is longer.
        retained_keys: Largest number of retained events, at least 1.
    """

    events: int
    seconds: float
    forget_seconds: float = 30 * _DAY
    retained_keys: int = 1_000

    def of(self, channel: str) -> Retention:  # noqa: ARG002 - the same for all
        """Return how much is kept of a channel. See :class:`RetentionPolicy`."""
        return self


class RetentionPolicy(Protocol):
    """How much a broker keeps of each channel."""

    def of(self, channel: str) -> Retention:
        """
        Return how much is kept of a channel; always the same for the same channel.

        Args:
            channel: Any name.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What is to be done with an event that is appended, beside storing it.

    Args:
        retain_as: The key under which the event is retained, instead of the one that has
            this key; ``""`` for the one retained event of the channel that has no key;
            :obj:`None` to retain nothing.
        idempotency_key: The publisher's own name of this append; :obj:`None` if it has
            none.
        is_end: Whether the channel ends with this event.
    """

    retain_as: str | None = None
    idempotency_key: str | None = None
    is_end: bool = False


PLAIN = Terms()
"""Nothing but storing the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    Part of a channel's history.

    Args:
        entries: Entries in the order of their offsets, without a hole.
        start: The position after which ``entries`` begin. Without a gap it is the
            requested position, expressed in the channel's present epoch; with a gap it is
            the position from which the client continues instead.
        head: The channel's newest position.
        gap: Why the requested position cannot be honoured; :obj:`None` if it can.
        began: The offset after which the channel began its present life: 0, or the head at
            the last :meth:`.Broker.begin`.
        has_ended: Whether the entry at ``head`` is the end of the channel.
    """

    entries: Sequence[Entry]
    start: Position
    head: Position
    gap: GapReason | None
    began: int = 0
    has_ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """
    A part of a channel's retained entries.

    Args:
        entries: Entries in the order of their offsets, with holes.
        head: The channel's newest position.
    """

    entries: Sequence[Entry]
    head: Position


class Attempt:
    """
    One append that may take several tries, so that the event is stored once.

    A broker that recognises repeated appends reads and sets these attributes.

    Attributes:
        token: A name that no other append has, to be stored with the event.
        was_tried: Whether an earlier try may have stored the event.
        after: A position that the channel had before the first try, if it was known: the
            event can only be stored after it.
    """

    __slots__ = ("after", "token", "was_tried")

    def __init__(self) -> None:
        self.token = new_token()
        self.was_tried = False
        self.after: Position | None = None


def resolve(
    after: Position | None,
    head: Position,
    oldest_offset: int,
    same_until: int | None = None,
) -> tuple[int, GapReason | None]:
    """
    Return where reading begins, by the one rule that all brokers share.

    Args:
        after: The requested position; :obj:`None` for the oldest entry.
        head: The channel's newest position.
        oldest_offset: Offset of the oldest entry in history; ``head.offset + 1`` if there
            is none.
        same_until: If ``after`` is in a former epoch that the broker remembers: the offset
            up to which the entries of both epochs are the same. Otherwise :obj:`None`.

    Returns:
        The offset after which entries begin, and why it is not the requested one;
        :obj:`None` if it is.
    """
    before_oldest = oldest_offset - 1
    if after is None:
        return before_oldest, None
    if after.epoch != head.epoch:
        if same_until is None:
            return before_oldest, "epoch"
        if after.offset > same_until:
            return max(same_until, before_oldest), "epoch"
    elif after.offset > head.offset:
        return head.offset, "unknown"
    if after.offset < before_oldest:
        return before_oldest, "trimmed"
    return after.offset, None
