"""Names of keys and channels in Redis."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["Names"]


class Names:
    """
    Names that begin with a prefix.

    Args:
        prefix: Any text without braces.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
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

    def live(self, channel: str) -> str:
        """
        Give the channel of Redis on which new entries of a channel are published.

        Args:
            channel: Any name.
        """
        return f"{self._tagged(channel)}:live"
