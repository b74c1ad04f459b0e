"""Notices that an application's configuration was changed after it had been read."""

from __future__ import annotations

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
        self._values = [_copied(self._config.get(key)) for key in self._keys]
        self._length = len(self._config)

    def follow(self, config: Mapping[str, Any]) -> None:
        """Compare the values with this object, which may have replaced the other one."""
        self._config = config

    def may_have_changed(self) -> bool:
        """Return whether a key has another value, or there are other keys."""
        config = self._config
        return len(config) != self._length or [*map(config.get, self._keys)] != self._values

    def changed(self) -> list[str]:
        """Return the keys that have another value."""
        return [
            key
            for key, value in zip(self._keys, self._values, strict=True)
            # As lists, which compare by identity first: what was not copied may be unable
            # to say whether it equals something.
            if [self._config.get(key)] != [value]
        ]


def _copied(value: Any) -> Any:
    """
    Return a value that stays as it is if a list or a dict in it is changed in place.

    Not a deep copy: a key may belong to somebody else, whose object (a client, a lock)
    cannot be copied.
    """
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [*map(_copied, value)]
    if isinstance(value, tuple):
        return tuple(map(_copied, value))
    if isinstance(value, set):
        return set(value)
    return value
