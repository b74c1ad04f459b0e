"""Whether the answer comes from a cache, or may be put into one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..finding import broken, fine, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Exchange, Observation

__all__ = ["check"]

_HIT = re.compile(r"\bhit\b|\bstale\b|\bupdating\b", re.IGNORECASE)
# Of nginx (by custom), Varnish, Squid, content delivery networks, and RFC 9211.
_STATES = ("x-cache", "x-cache-status", "x-proxy-cache", "cf-cache-status", "cache-status",
           "x-varnish-cache", "x-cache-lookup", "x-vercel-cache")  # fmt: skip


def check(seen: Observation) -> Iterator[Finding]:
    """Judge the headers of caches."""
    main = seen.main
    if not main.is_stream:
        return
    hits = [hit for one in (main, seen.plain, seen.again) if one for hit in _hits(one)]
    if hits:
        yield broken(
            "cached",
            "A cache answers instead of the application",
            "; ".join(dict.fromkeys(hits)),
            "Exclude the path of the stream from the cache (nginx: proxy_cache off; a"
            " content delivery network: a rule that bypasses the cache), and purge what"
            " it has.",
        )
    elif _is_repeated(seen):
        yield warning(
            "cached",
            "Two requests got the same stream, and it ended: a cache may answer",
            f"{len(main.body)} equal bytes each",
            "Exclude the path of the stream from the cache, and purge what it has.",
        )
    else:
        yield fine("cached", "No cache answers")
    yield _cache_control(main)


def _hits(main: Exchange) -> Iterator[str]:
    age = main.header("age")
    if age is not None and age.strip() not in {"", "0"}:
        yield f"Age: {age}"
    for name in _STATES:
        value = main.header(name)
        if value is not None and _HIT.search(value):
            yield f"{name.title()}: {value}"


def _is_repeated(seen: Observation) -> bool:
    main, again = seen.main, seen.again
    return (
        again is not None
        and bool(main.events)
        and main.end is not None
        and again.end is not None
        # Heliograph draws the reconnection time of each stream.
        and main.body == again.body
    )


def _cache_control(main: Exchange) -> Finding:
    value = main.header("cache-control")
    directives = {
        part.partition("=")[0].strip().lower() for part in (value or "").split(",")
    }
    if directives & {"no-store", "no-cache", "private"} and "public" not in directives:
        return fine("cache-control", "Shared caches may not keep the stream", f"{value}")
    return warning(
        "cache-control",
        "Nothing forbids caches to keep the stream",
        f"Cache-Control: {value}" if value is not None else "no Cache-Control",
        "Send Cache-Control: no-store, no-transform. Heliograph does: if this is a stream"
        " of Heliograph, a proxy or a hook has replaced the header (nginx: expires,"
        " add_header with proxy_hide_header; Apache: Header set).",
    )
