"""
Fields of the query whose names are probably misspelt.

The query of a stream's URL may have fields of the application's own. A field with a
misspelt name would be taken for one of those: ``?chanel=news`` would listen to the default
channel, and nobody would be told. So a name that is nearly one of ours is refused.

Names are compared by their letters and digits, in lower case: ``last_event_id`` and
``channel[]`` (an array, as jQuery and axios write it) are mistakes of habit. What remains
may differ in one letter: missing, one too many, wrong, or in another place. The first
letter has to be right, as it mostly is in mistyped words: so ``ctoken``, ``x_token`` and
``_token`` are the application's. In ``token`` no letter may be wrong, in another place or
appended, because of ``taken`` and ``tokens``, of which streams of language models have a
number. What a URL that was put together wrongly leaves before a name (``?``, ``amp;``) and
an index behind it (``[0]``) do not count. Rejected: the ratio of :mod:`difflib`, which
takes ``lastSeenId`` for ``lastEventId``, and 30 ms for a query of 1,000 fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import InvalidFieldError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CHANNEL", "LAST_EVENT_ID", "START", "TOKEN", "check_field_names"]

CHANNEL = "channel"
"""The field that names a channel."""

LAST_EVENT_ID = "lastEventId"
"""The field with the id after which the stream resumes."""

TOKEN = "token"  # noqa: S105 - a name
"""The field with the token of a signed URL."""

START = "start"
"""
The field that says where a stream begins without an id.

Its nearest words (``stars``, ``state``, ``smart``) are too common to be taken for mistakes.
"""

_NAMES = (CHANNEL, LAST_EVENT_ID, TOKEN)

_NOT_COMPARED = re.compile("[^a-z0-9]")
_BEFORE = re.compile(r"^(?:[? ]|amp;)+")
_INDEX = re.compile(r"\[[^\]]*\]$")

# In shorter names a wrong letter, or one more at the end, makes another word.
_LONG_ENOUGH = 6

# No longer name is compared: clients may send names of any length.
_MAX_CHARACTERS = 2 * max(map(len, _NAMES))


def check_field_names(names: Iterable[str]) -> None:
    """
    Check that no field of a query has nearly the name of a field that we read.

    Args:
        names: The names of the fields, decoded, each once.

    Raises:
        InvalidFieldError: A name is nearly one of ours.
    """
    for name in names:
        if name in _NAMES or name == START or len(name) > _MAX_CHARACTERS:
            continue
        ours = _nearest(name.lower())
        if ours is not None:
            raise InvalidFieldError(
                "query field",
                name,
                f"must be spelled {ours}; if it is the application's own, its name must"
                " differ in more than one letter",
            )


def _nearest(name: str) -> str | None:
    name = _INDEX.sub("", _BEFORE.sub("", name))
    letters = _NOT_COMPARED.sub("", name)
    for ours, whole, shortened in _COMPARED:
        if not name.startswith(whole[0]) or abs(len(letters) - len(whole)) > 1:
            continue
        is_long = len(whole) >= _LONG_ENOUGH
        if letters == whole or letters in shortened:
            return ours
        if whole in _shortened(letters) and (is_long or letters[:-1] != whole):
            return ours
        # A letter is wrong, or in another place, if one can be left out of each name so
        # that the rest is the same.
        is_comparable = is_long and len(letters) == len(whole)
        if is_comparable and not shortened.isdisjoint(_shortened(letters)):
            return ours
    return None


def _shortened(letters: str) -> list[str]:
    """Return what can be made of a name by leaving out one letter."""
    return [letters[:at] + letters[at + 1 :] for at in range(len(letters))]


_COMPARED = [(name, name.lower(), frozenset(_shortened(name.lower()))) for name in _NAMES]
