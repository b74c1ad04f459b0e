"""Notices that an application's configuration was changed after it had been read."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ConfigWatch"]


class ConfigWatch:
    """
    The values of some keys as they were read.

    Asked for each publish and each request, so it takes a microsecond or two: it looks at
    the known keys only, and at the number of all keys, which shows an unknown one.

    Args:
        config: The configuration, which the application may change at any time.
        keys: The keys that were read.
    """

    def __init__(self, config: Mapping[str, Any], keys: Iterable[str]) -> None:
        self._config = config
        self._keys = tuple(keys)
        self.note()

    def note(self) -> None:
        """Compare with what the configuration is now from now on."""
        # A copy, since a list or a dict may be changed in place.
        self._values = copy.deepcopy([*map(self._config.get, self._keys)])
        self._length = len(self._config)

    def may_have_changed(self) -> bool:
        """Return whether a key has another value, or there are other keys."""
        config = self._config
        return len(config) != self._length or [*map(config.get, self._keys)] != self._values

    def changed(self) -> list[str]:
        """Return the keys that have another value."""
        return [
            key
            for key, value in zip(self._keys, self._values, strict=True)
            if self._config.get(key) != value
        ]
