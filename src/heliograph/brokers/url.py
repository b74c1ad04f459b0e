"""What all brokers have in common about their URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["without_password"]


def without_password(url: str) -> str:
    """
    Return a URL as messages may show it: without user, password and options.

    Args:
        url: Any text. If it is ambiguous where a password ends, only the scheme is shown.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition(":")[0] + ":…"
    rest = parts.path + parts.query + parts.fragment
    if "@" in rest:
        # A password that is not percent-encoded may contain a slash, which ends the part of
        # the URL in which urlsplit looks for it.
        return f"{parts.scheme}:…"
    _, at, host = parts.netloc.rpartition("@")
    if not at and not parts.query:
        return url
    netloc = f"…@{host}" if at else host
    return parts._replace(netloc=netloc, query="", fragment="").geturl()
