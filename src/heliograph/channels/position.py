"""
Positions in channels, and the ids that carry them.

An id states the position in every channel of a stream. A client keeps the last ``id:`` that
it received (WHATWG HTML section 9.2.6) and sends it back as ``Last-Event-ID`` when it
reconnects (section 9.2.4), so a stream resumes exactly, with one channel and with many.
The grammar of an id::

    id       = tag 1*( "." position )        one position per channel, names sorted
    position = [ epoch "-" ] offset [ "~" offset ]
                                             the epoch only where it changes
    tag      = 8 characters that depend on the channels' names
    epoch    = 1 to 16 letters and digits
    offset   = decimal, no leading zeros

The offset after ``~`` is that of the last retained event that a client has been given which
is still given those up to its position: it resumes after that one. If it is the same as the
first one, all were given, and the client has yet to be told that the channel has ended.

The tag binds an id to its channels. Without it the id of another selection with as many
channels would be read as positions in these. Positions are written in exactly one way, and
:meth:`Positions.parse` refuses every other. An id contains neither NUL, at which clients
ignore an ``id`` field (WHATWG HTML section 9.2.6), nor a character that a header could not
carry.
"""

from __future__ import annotations

import functools
import re
from base64 import urlsafe_b64encode
from bisect import bisect_left
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from ..errors import InvalidFieldError, InvalidStreamIdError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["GapReason", "Position", "Positions", "id_of"]

# The largest signed 64-bit integer: every broker can store it.
MAX_OFFSET = 2**63 - 1

# What is computed from the names of more channels is not kept.
_CHANNELS_OF_MANY = 8

_POSITION = re.compile(
    "(?:([0-9A-Za-z]{1,16})-)?(0|[1-9][0-9]{0,18})(?:~(0|[1-9][0-9]{0,18}))?"
)
_MAX_EPOCH = 16
_OFFSET = re.compile("[0-9]{1,19}")

GapReason = str
"""
Why a position cannot be honoured: ``"epoch"`` (the channel has a new epoch), ``"trimmed"``
(history no longer reaches back to it), ``"unknown"`` (it is no position of this channel).
"""


@dataclass(frozen=True, slots=True)
class Position:
    """
    A position in one channel: just after an entry.

    Args:
        epoch: The token of one life of the channel's numbering: 1 to 16 ASCII letters and
            digits.
        offset: The number of the entry; 0 is before the first.
    """

    epoch: str
    offset: int

    def __post_init__(self) -> None:
        # Values from outside go through parse(): a wrong one here is our own bug.
        assert _is_epoch(self.epoch), self.epoch  # noqa: S101 - our invariant
        assert 0 <= self.offset <= MAX_OFFSET, self.offset  # noqa: S101 - likewise

    @classmethod
    def parse(cls, epoch: object, offset: object) -> Position:
        """
        Return the position that storage or another process states.

        Args:
            epoch: Any value. A valid one is a str of 1 to 16 ASCII letters and digits.
            offset: Any value. A valid one is an int from 0 to 2**63 - 1, or a str of its
                decimal digits.

        Raises:
            InvalidFieldError: One of them is invalid.
        """
        if not isinstance(epoch, str) or not _is_epoch(epoch):
            raise InvalidFieldError(
                "epoch", epoch, "must be 1 to 16 ASCII letters and digits"
            )
        if isinstance(offset, str) and _OFFSET.fullmatch(offset):
            offset = int(offset)
        # isinstance() would accept True: bool is a subclass of int.
        if type(offset) is not int or not 0 <= offset <= MAX_OFFSET:
            raise InvalidFieldError(
                "offset", offset, "must be a whole number from 0 to 2**63 - 1"
            )
        return cls(epoch, offset)


class Positions:
    """
    A position in each channel of a stream, and the id that states them.

    A feed writes an id for each event, and most differ from the one before in the offset
    of one channel. So the parts of the last id are kept, and only that offset is written
    again.

    Args:
        positions: A position for each channel, in any order.
    """

    __slots__ = ("_channels", "_parts", "_positions", "_prefix", "_replayed", "_untold")

    def __init__(self, positions: Mapping[str, Position]) -> None:
        self._channels = tuple(sorted(positions))
        self._positions = [positions[name] for name in self._channels]
        # Channels whose retained entries are being given -> the offset of the last one.
        self._replayed: dict[str, int] = {}
        # Channels that have ended at their positions, which has yet to be told.
        self._untold: set[str] = set()
        self._prefix = _tag(self._channels)
        # The parts of the id after the tag; empty if all have to be written again.
        self._parts: list[str] = []

    @property
    def channels(self) -> tuple[str, ...]:
        """The stream's channels, sorted."""
        return self._channels

    def __getitem__(self, channel: str) -> Position:
        return self._positions[self._index(channel)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Positions):
            return NotImplemented
        return (self._channels, self._positions, self._replayed, self._untold) == (
            other._channels,
            other._positions,
            other._replayed,
            other._untold,
        )

    __hash__ = None  # type: ignore[assignment]  # it moves

    def __repr__(self) -> str:
        positions = dict(zip(self._channels, self._positions, strict=True))
        replayed = f", replayed={self._replayed!r}" if self._replayed else ""
        untold = f", untold={self._untold!r}" if self._untold else ""
        return f"Positions({positions!r}{replayed}{untold})"

    def advance(self, channel: str, position: Position) -> None:
        """
        Change the position in one channel.

        Args:
            channel: One of :attr:`channels`.
            position: The new position.
        """
        index = self._index(channel)
        before, self._positions[index] = self._positions[index], position
        if self._untold and before != position:
            self.tell_end(channel)
        if before.epoch != position.epoch:
            self._parts = []
        elif self._parts and not self._replayed:
            epoch, dash, _ = self._parts[index].rpartition("-")
            self._parts[index] = f"{epoch}{dash}{position.offset}"
        else:
            self._parts = []

    @property
    def replayed(self) -> Mapping[str, int]:
        """
        The channels whose retained entries are being given, up to their positions.

        Each with the offset of the last one that was given; 0 for none.
        """
        return self._replayed

    def replay(self, channel: str, offset: int) -> None:
        """
        State that a channel's retained entries are given, and those up to an offset were.

        Args:
            channel: One of :attr:`channels`.
            offset: The offset of the last one that was given; 0 for none. If it is that of
                the position, all were.
        """
        self._parts = []
        if offset < self[channel].offset:
            self._replayed[channel] = offset
        else:
            self._replayed.pop(channel, None)

    def end_replay(self, channel: str) -> None:
        """
        State that all of a channel's retained entries were given, up to its position.

        Args:
            channel: One of :attr:`channels`.
        """
        self.replay(channel, self[channel].offset)

    @property
    def untold(self) -> AbstractSet[str]:
        """The channels of which a client has yet to be told that they have ended."""
        return self._untold

    def withhold_end(self, channel: str) -> None:
        """
        State that a channel has ended at its position, and the client was not told.

        Args:
            channel: One of :attr:`channels`.
        """
        if channel not in self._untold:
            self._untold.add(channel)
            self._parts = []

    def tell_end(self, channel: str) -> None:
        """
        State that the client has been told of a channel's end, or that there is none.

        Args:
            channel: One of :attr:`channels`.
        """
        if channel in self._untold:
            self._untold.remove(channel)
            self._parts = []

    @property
    def id(self) -> str:
        """The id with which a client resumes from these positions."""
        if not self._parts:
            self._parts = list(self._written_parts())
        return f"{self._prefix}.{'.'.join(self._parts)}"

    def _written_parts(self) -> Iterator[str]:
        epoch = None
        for channel, position in zip(self._channels, self._positions, strict=True):
            prefix = "" if position.epoch == epoch else f"{position.epoch}-"
            epoch = position.epoch
            until = position.offset if channel in self._untold else None
            replayed = self._replayed.get(channel, until)
            suffix = "" if replayed is None else f"~{replayed}"
            yield f"{prefix}{position.offset}{suffix}"

    def _index(self, channel: str) -> int:
        index = bisect_left(self._channels, channel)
        assert self._channels[index : index + 1] == (channel,), channel  # noqa: S101 - our invariant
        return index

    @classmethod
    def parse(cls, text: str, channels: tuple[str, ...]) -> Positions:
        """
        Return the positions that an id states.

        Args:
            text: The value of ``Last-Event-ID``, from a client: any text.
            channels: The channels of its stream, sorted, each once.

        Returns:
            Positions whose :attr:`id` is ``text``.

        Raises:
            InvalidStreamIdError: ``text`` is not an id of these channels.
        """
        _, *parts = text.split(".", len(channels) + 1)
        if len(parts) != len(channels):
            raise InvalidStreamIdError(text)
        positions, replayed = {}, {}
        epoch = None
        for channel, part in zip(channels, parts, strict=True):
            match = _POSITION.fullmatch(part)
            if match is None:
                raise InvalidStreamIdError(text)
            epoch = match[1] or epoch
            offset = int(match[2])
            if epoch is None or offset > MAX_OFFSET:
                raise InvalidStreamIdError(text)
            positions[channel] = Position(epoch, offset)
            if match[3] is not None:
                replayed[channel] = int(match[3])
        result = cls(positions)
        for channel, offset in replayed.items():
            result.replay(channel, offset)
            if offset == result[channel].offset:
                result.withhold_end(channel)
        # The tag is of other channels, an epoch is written where it has not changed, or
        # more was given than there is.
        if result.id != text:
            raise InvalidStreamIdError(text)
        return result


def id_of(channel: str, position: Position) -> str:
    """
    Return the id with which a stream of one channel resumes from a position.

    Args:
        channel: The channel.
        position: A position in it.

    Returns:
        The id of :class:`Positions` of this channel alone, in less time.
    """
    return f"{_tag((channel,))}.{position.epoch}-{position.offset}"


def _is_epoch(text: str) -> bool:
    # For each event several times, which is why it is no regular expression.
    return len(text) <= _MAX_EPOCH and text.isascii() and text.isalnum()


def _tag(channels: tuple[str, ...]) -> str:
    # Clients choose the names, and those of one selection may be 16 KB.
    is_small = len(channels) <= _CHANNELS_OF_MANY
    return _remembered_tag(channels) if is_small else _tag_of(channels)


def _tag_of(channels: tuple[str, ...]) -> str:
    # NUL cannot be part of a name, so no two selections join to the same text.
    digest = blake2b("\0".join(channels).encode(), digest_size=6).digest()
    return urlsafe_b64encode(digest).decode("ascii")


_remembered_tag = functools.lru_cache(maxsize=64)(_tag_of)
