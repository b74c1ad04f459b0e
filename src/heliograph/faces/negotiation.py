"""
The content coding of a stream: what its client accepts, its channels allow, and is safe.

``Accept-Encoding`` is read as in RFC 9110 section 12.5.3
(https://www.rfc-editor.org/rfc/rfc9110.html#name-accept-encoding), with the weights of
section 12.4.2. Each client can read a stream that is not compressed, so whatever is missing
or cannot be understood leads there, and never to 406: a server may disregard the field.

The size of compressed events tells what is in them. Where a client may not see all that is
compressed together with what it can choose itself, each event is compressed alone
(``docs/compression.md`` has the measured sizes).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..channels.options import COMPRESSIONS
from ..wire.coding import Coding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..channels.options import Compression

__all__ = ["accepts_gzip", "coding_of"]

# A coding with its weight, if it has one: the names of parameters are case-insensitive.
_MEMBER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)

# IANA has registered a dozen codings. The 64 KB that servers allow for a header are 32,000
# members, which take 50 ms.
_MAX_MEMBERS = 100

# RFC 9110 section 8.4.1.3: a recipient should consider x-gzip to be equivalent to gzip.
_SYNONYMS = {"x-gzip": "gzip"}


def coding_of(
    compressions: Iterable[Compression], accept_encoding: str | None, *, is_private: bool
) -> Coding:
    """
    Return the content coding of a stream.

    Args:
        compressions: How each of its channels may be compressed; the least counts.
        accept_encoding: The field of the request; :obj:`None` if there is none.
        is_private: Whether not everyone may have this stream.
    """
    compression = min(compressions, key=COMPRESSIONS.index)
    if compression is None or not accepts_gzip(accept_encoding):
        return Coding.IDENTITY
    if is_private:
        return Coding.GZIP_EVENTS
    if compression == "blocks":
        return Coding.GZIP_BLOCKS
    return Coding.GZIP_WINDOW


def accepts_gzip(accept_encoding: str | None) -> bool:
    """
    Return whether a client wants gzip at least as much as a stream without compression.

    A member that does not follow the syntax is ignored, as if it were not there. Of a
    coding that occurs several times, the lowest weight counts. A field of more than 100
    members is not read.

    Args:
        accept_encoding: The value of the field; if it occurs several times, all values,
            joined with commas. :obj:`None` if there is none: any coding is acceptable then,
            but a client that decodes gzip says so.
    """
    if accept_encoding is None or accept_encoding.count(",") >= _MAX_MEMBERS:
        return False
    weights: dict[str, float] = {}
    for member in accept_encoding.split(","):
        found = _MEMBER.fullmatch(member.strip(" \t"))
        if found is None:
            continue
        name = found[1].lower()
        name = _SYNONYMS.get(name, name)
        weight = 1.0 if found[2] is None else float(found[2])
        weights[name] = min(weight, weights.get(name, 1.0))
    others = weights.get("*", 0.0)
    gzip = weights.get("gzip", others)
    # Without a weight of its own identity is acceptable, but less than what is listed.
    return gzip > 0 and gzip >= weights.get("identity", others)
