"""The version of HTTP, and how a response shows its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..finding import broken, fine, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Observation

__all__ = ["check"]


def check(seen: Observation) -> Iterator[Finding]:
    """Judge the version and the framing."""
    main = seen.main
    if not main.is_stream:
        return
    if main.connected.alpn == "h2":
        yield fine("http-version", "The server offers HTTP/2: any number of streams")
    elif main.http_version == "1.0":
        yield warning(
            "http-version",
            "The server answers with HTTP/1.0",
            f"HTTP/1.0 {main.status}",
            "Put a proxy with HTTP/1.1 or HTTP/2 in front, or configure it: HTTP/1.0 has no"
            " chunks, so a client cannot tell the end of a stream from a lost connection.",
        )
    else:
        yield fine(
            "http-version",
            "HTTP/1.1: a browser opens six connections to a host, in all tabs together",
            f"HTTP/{main.http_version}",
            "The seventh stream waits for ever. Request several channels in one stream, or"
            " offer HTTP/2, which needs TLS.",
        )
    if main.framing == "length":
        length = main.header("content-length")
        if main.end is None:
            yield broken(
                "framing",
                "The response has a length, so it ends when that is reached",
                f"Content-Length: {length}",
                "A cache or a middleware has read a whole stream and sends it again."
                " Exclude the stream from it.",
            )
    elif main.framing == "close":
        yield warning(
            "framing",
            "The end of the response is the end of its connection",
            "neither Transfer-Encoding: chunked nor Content-Length",
            "Clients cannot tell an end from a cut, and iter_lines() of requests shows"
            " nothing until the end. Browsers, httpx and curl -N do not mind. Let the"
            " server or the proxy answer with HTTP/1.1 and chunks (nginx:"
            " proxy_http_version 1.1).",
        )
    else:
        yield fine("framing", "The response is chunked, which requests can read, too")
