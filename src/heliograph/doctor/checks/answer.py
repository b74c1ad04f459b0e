"""The answer: redirects, the status, the content type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..finding import broken, fine, warning
from ..target import show_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Exchange, Observation

__all__ = ["check"]

_LOGIN = re.compile(
    r"\b(?:log-?in|sign-?in|auth|oauth2?|sso|saml2?|consent)\b", re.IGNORECASE
)
_AWAY = {502, 503, 504}
_NO_CONTENT = 204
_OK = 200
_UNAUTHORIZED = 401
_CLOSES = "An EventSource closes for good at any status but 200."
_STATUS_ADVICE = {
    400: "The request is not valid: see the text. Check the channels in the query.",
    401: "The request is not authenticated. Give its token with --header 'Authorization: …'"
    " or in the URL. An EventSource cannot send headers: put a token into the URL.",
    403: "The request is not allowed: see the text, and the log of the application.",
    404: "No route has this path. Compare it with the routes of the application, and with"
    " the path that the proxy passes on (a prefix that is removed or not, a final slash).",
    405: "The route takes another method. An EventSource sends GET.",
    406: "Something refuses Accept: text/event-stream. Allow this type there.",
    421: "The proxy has no site of this name for this certificate.",
    429: "Too many requests or streams. Raise the limit, and see Retry-After.",
}


def check(seen: Observation) -> Iterator[Finding]:
    """Judge the way from the first answer to the last, and the last one's head."""
    main = seen.main
    yield from _redirects(seen)
    if main.fault is not None and main.fault.kind in {"closed", "no-http"}:
        yield _no_http(main)
    if main.fault is not None and main.fault.kind == "h2":
        yield warning(
            "http-version",
            "The server speaks HTTP/2 alone, which the doctor does not",
            main.fault.detail,
            "Enable HTTP/1.1 beside it for the examination: some proxies and clients need"
            " it, too. Browsers do not.",
        )
    if main.status == 0 or seen.loop or seen.strange_location or main.is_meant_for_tls:
        return
    login = _login(seen)
    if login is not None:
        yield login
    elif main.status in _AWAY:
        yield broken(
            "unavailable",
            f"The status is {main.status}: the application is down or does not answer",
            _told(main),
            "Start the application, and check the address to which the proxy passes"
            f" requests. {_CLOSES} So make the proxy answer streams with 200 and retry"
            " while the application restarts (docs of deployment, While the application"
            " is down). If the text is the application's own, it has reached a limit.",
        )
    elif main.status == _NO_CONTENT:
        yield warning(
            "channel-ended",
            "The status is 204: all channels of the stream have ended",
            "an EventSource stops at 204",
            "Begin the channel again to publish more (begin), or ask for another one.",
        )
    elif seen.without_origin is not None and seen.without_origin.is_stream:
        return  # which is what the check of CORS says
    elif main.status != _OK:
        other = "See the log of the application." if main.status >= 500 else ""  # noqa: PLR2004 - errors of servers
        advice = _STATUS_ADVICE.get(main.status, other)
        if main.status == _UNAUTHORIZED and "@" in urlsplit(seen.target.url).netloc:
            advice += (
                " The user and the password of the URL were not sent: browsers block such"
                " URLs of streams."
            )
        yield broken(
            "status",
            f"The status is {main.status} {main.reason}".rstrip(),
            _told(main),
            f"{advice} {_CLOSES}".strip(),
        )
    else:
        yield fine("status", "The status is 200")
        yield from _content_type(main)


def _redirects(seen: Observation) -> Iterator[Finding]:
    if not seen.hops and not seen.strange_location:
        return
    way = " → ".join(
        [
            *(f"{hop.address.shown} ({hop.status})" for hop in seen.hops),
            seen.main.address.shown,
        ]
    )
    if seen.strange_location is not None:
        yield broken(
            "redirect",
            "A redirect leads to no http or https URL",
            f"{way}, Location: {show_url(seen.strange_location)}",
            "Correct the redirect in the proxy or the application.",
        )
        return
    if seen.loop:
        yield broken(
            "redirect",
            "The redirects do not end",
            way[:300],
            "Often the application redirects http to https, and does not know that the"
            " proxy has ended TLS: pass X-Forwarded-Proto on, and trust it (ProxyFix).",
        )
        return
    last = seen.main.address
    before = seen.hops[-1].address
    yield warning(
        "redirect",
        "The URL redirects",
        way,
        f"Write {last.shown} in the page: each reconnect asks the old address again after"
        " 302, 303 and 307."
        if seen.main.is_stream
        else "The last address is no stream: correct the redirect, or what is there.",
    )
    if any(
        one.address.origin != two.origin
        for one, two in zip(
            seen.hops, [*(hop.address for hop in seen.hops[1:]), last], strict=True
        )
    ):
        tainted = seen.main.origin == "null"
        yield warning(
            "redirect-origin",
            "A redirect leads to another origin"
            + (", so the browser sends Origin: null" if tainted else ""),
            f"{before.origin} → {last.origin}",
            f"Write {last.origin} in the page. After such a redirect, a page of a third"
            " origin has the origin null, which no CORS policy should allow; and cookies"
            " and the header Authorization stay behind.",
        )


def _login(seen: Observation) -> Finding | None:
    main = seen.main
    led = [hop.header("location") or "" for hop in seen.hops]
    is_page = main.status == _OK and "html" in (main.header("content-type") or "")
    asks = re.search(rb"type=[\"']?password", main.body, re.IGNORECASE) is not None
    redirected = any(_LOGIN.search(location) for location in led)
    if main.is_stream or not (redirected or (is_page and asks)):
        return None
    return broken(
        "login",
        "The answer is the page of a login",
        "; ".join(
            part
            for part in (f"redirected to {show_url(led[-1])}" if led else "", _told(main))
            if part
        ),
        "The stream needs a session or a token, and this request has none: give it with"
        " --header 'Cookie: …' or 'Authorization: …', or in the URL. In a page of another"
        " origin cookies need withCredentials. Answer streams with 401 or 403 instead of a"
        " redirect: an EventSource cannot log in.",
    )


def _content_type(main: Exchange) -> Iterator[Finding]:
    kind = main.header("content-type")
    if main.is_stream:
        yield fine("content-type", "The content type is that of event streams", str(kind))
        return
    if kind is None:
        advice = "Make the application or the proxy send Content-Type: text/event-stream."
    elif "html" in kind:
        advice = (
            "Another route answers: a page for all unknown paths of a single-page"
            " application, a login, a page of the proxy. Check the path, and to where the"
            " proxy passes it."
        )
    else:
        advice = "Remove what changes the type: in the proxy, a middleware or a hook."
    yield broken(
        "content-type",
        "The content type is not text/event-stream, so an EventSource closes for good",
        f"Content-Type: {kind}; {_told(main)}",
        advice,
    )


def _no_http(main: Exchange) -> Finding:
    assert main.fault is not None  # noqa: S101 - as the caller has seen
    if main.fault.kind == "closed":
        return broken(
            "http",
            "The server closed the connection without an answer",
            main.fault.detail,
            "See the log of the server: a worker may have crashed. If the server speaks TLS"
            " at this port, write https://.",
        )
    if main.fault.detail.startswith(("'HTTP/1", '"HTTP/1')):
        return broken(
            "http",
            "The answer is not valid HTTP",
            main.fault.detail,
            "Correct what writes this head: the application, or a proxy that changes it.",
        )
    return broken(
        "http",
        "The server does not speak HTTP/1.1",
        main.fault.detail,
        "Check the port: another service listens there.",
    )


def _told(main: Exchange) -> str:
    """Return the parts of an answer that say why."""
    parts = [
        f"{name.title()}: {main.header(name)}"
        for name in ("server", "via", "retry-after", "www-authenticate")
        if main.header(name)
    ]
    text = main.body.decode("utf-8", "replace")
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    if title:
        parts.append(f"title: {' '.join(title[1].split())[:100]}")
    elif text.strip() and "<" not in text[:200]:
        parts.append(f"text: {' '.join(text.split())[:200]}")
    return "; ".join(parts)
