"""Names of keys and channels in Redis."""

from __future__ import annotations

from itertools import count
from urllib.parse import quote

from redis.crc import key_slot

__all__ = ["Names"]


class Names:
    """
    Names that begin with a prefix.

    Args:
        prefix: Any text without braces.
        sharded: Whether keys that are used together must be in one slot of a cluster.
    """

    def __init__(self, prefix: str, *, sharded: bool = False) -> None:
        self._prefix = prefix
        self._sharded = sharded
        # Slot -> the least number that, as a hash tag, is in it: the same in each process.
        # Filled as far as it was needed: all of it takes 0.3 s.
        self._tags: dict[int, int] = {}
        self._numbers = count()
        self.alive = f"{prefix}alive"

    def _tagged(self, channel: str) -> str:
        # Quoted, because a brace would be taken for the end of the hash tag.
        return f"{self._prefix}{{{quote(channel, safe='')}}}"

    def is_ours(self, name: str) -> bool:
        """
        Say whether a channel of Redis is, or could be, one that we publish on.

        Args:
            name: A channel of Redis.
        """
        return name == self.alive or name.startswith(f"{self._prefix}{{")

    def keys(self, channel: str) -> tuple[str, str]:
        """
        Give the keys of a channel: a hash and a stream.

        Args:
            channel: Any name.
        """
        tagged = self._tagged(channel)
        return f"{tagged}:channel", f"{tagged}:events"

    def common(self, channel: str) -> str:
        """
        Return the key of the life that channels share before their first event.

        There is one; in a cluster one for each slot, so at most 16,384 of them, whatever
        channels are asked for.

        Args:
            channel: Any name.
        """
        if not self._sharded:
            return f"{self._prefix}epoch"
        tag = self._tag_in(key_slot(self._tagged(channel).encode()))
        return f"{self._prefix}{{{tag}}}:epoch"

    def live(self, channel: str) -> str:
        """
        Give the channel of Redis on which new entries of a channel are published.

        Args:
            channel: Any name.
        """
        return f"{self._tagged(channel)}:live"

    def _tag_in(self, slot: int) -> int:
        while slot not in self._tags:
            number = next(self._numbers)
            self._tags.setdefault(key_slot(str(number).encode()), number)
        return self._tags[slot]
