"""Names of keys and pub/sub channels in Redis."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import count
from typing import NamedTuple
from urllib.parse import quote, unquote

from redis.crc import key_slot

__all__ = ["Keys", "Names"]

# The end of the name of a channel's hash.
_ROW = ":channel"

# Channels whose names are kept.
_MAX_CHANNELS = 10_000

# What has a meaning in the patterns of Redis.
_SPECIAL = re.compile(r"[*?\[\]\\^-]")


class Keys(NamedTuple):
    """
    The keys that belong to a channel.

    Args:
        row: The hash with epoch, head, state and the index of ids.
        events: The stream with the entries.
        keys: The sorted set of the keys of retained entries, and of idempotency keys.
        retained: The hash with the retained entries.
        common: The string that names the life of all channels without entries: one key; in
            a cluster one for each slot, so at most 16,384, whatever channels are asked for.
    """

    row: str
    events: str
    keys: str
    retained: str
    common: str


class Names:
    """
    Names that begin with a prefix.

    Args:
        prefix: Any text without braces.
        sharded: Whether keys that are used together must be in one slot of a cluster.

    Attributes:
        alive: A pub/sub channel on which nobody publishes.
    """

    def __init__(self, prefix: str, *, sharded: bool = False) -> None:
        self._prefix = prefix
        self._sharded = sharded
        # Slot -> the least number that hashes to it: the same in each process. Filled only
        # as far as needed, since all of it takes 0.3 s.
        self._tags: dict[int, int] = {}
        self._numbers = count()
        # Each publish needs them.
        self._named = lru_cache(_MAX_CHANNELS)(self._name)
        self.alive = f"{prefix}alive"

    def is_ours(self, name: str) -> bool:
        """
        Return whether a pub/sub channel is one of ours, or could become one.

        Args:
            name: A pub/sub channel of Redis.
        """
        return name == self.alive or name.startswith(f"{self._prefix}{{")

    def rows(self, beginning: str) -> str:
        """
        Return the pattern of Redis that matches the rows of channels, and little else.

        Args:
            beginning: Of the names of the channels.
        """
        # Quoting works on each byte, so the beginning of a name is that of the quoted one.
        quoted = quote(beginning.encode(errors="surrogatepass"), safe="")
        literal = _SPECIAL.sub(r"\\\g<0>", f"{self._prefix}{{{quoted}")
        return f"{literal}*}}{_ROW}"

    def channel(self, row: bytes) -> str | None:
        """
        Return the channel that a key is the row of; :obj:`None` if it is none of ours.

        Args:
            row: A key that matches :meth:`rows`.
        """
        begin, end = f"{self._prefix}{{".encode(), f"}}{_ROW}".encode()
        try:
            name = unquote(row[len(begin) : -len(end)].decode(), errors="strict")
        except UnicodeDecodeError:
            return None
        return name if f"{self._tagged(name)}{_ROW}".encode() == row else None

    def keys(self, channel: str) -> Keys:
        """
        Return the keys of a channel.

        Args:
            channel: Any name.
        """
        return self._named(channel)[0]

    def live(self, channel: str) -> str:
        """
        Return the pub/sub channel on which new entries of a channel are published.

        Args:
            channel: Any name.
        """
        return self._named(channel)[1]

    def _name(self, channel: str) -> tuple[Keys, str]:
        tagged = self._tagged(channel)
        keys = Keys(
            f"{tagged}{_ROW}",
            f"{tagged}:events",
            f"{tagged}:keys",
            f"{tagged}:retained",
            self._common(tagged),
        )
        return keys, f"{tagged}:live"

    def _tagged(self, channel: str) -> str:
        # Quoted, because a brace would be taken for the end of the hash tag.
        return f"{self._prefix}{{{quote(channel, safe='')}}}"

    def _common(self, tagged: str) -> str:
        if not self._sharded:
            return f"{self._prefix}epoch"
        return f"{self._prefix}{{{self._tag_in(key_slot(tagged.encode()))}}}:epoch"

    def _tag_in(self, slot: int) -> int:
        while slot not in self._tags:
            number = next(self._numbers)
            self._tags.setdefault(key_slot(str(number).encode()), number)
        return self._tags[slot]
