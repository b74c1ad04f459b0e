"""
Whether a page of another origin may read the stream.

Follows the Fetch standard: `CORS check <https://fetch.spec.whatwg.org/#cors-check>`_ and
`CORS-preflight fetch <https://fetch.spec.whatwg.org/#cors-preflight-fetch>`_.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..finding import broken, fine, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Exchange, Observation

__all__ = ["check"]

_ALLOW_ORIGIN = "access-control-allow-origin"


def check(seen: Observation) -> Iterator[Finding]:
    """Judge the answer and the preflight for the given origin."""
    target, main = seen.target, seen.main
    if target.origin is None:
        if main.is_stream:
            yield skipped(
                "cors",
                "Whether a page of another origin may read the stream was not tried",
                "no --origin",
                "Give --origin the origin of the page, such as https://app.example.",
            )
        return
    yield from _mixed_content(seen)
    if main.origin is None:
        if main.is_stream:
            yield fine(
                "cors", "The page has the origin of the stream: CORS does not matter"
            )
        return
    if seen.without_origin is not None and seen.without_origin.is_stream:
        yield broken(
            "cors",
            f"The stream refuses the origin {main.origin}",
            f"status {main.status}; without the header Origin it is 200",
            f"Allow the origin in the application: CORS(app, origins=[{target.origin!r}]).",
        )
        return
    if not main.is_stream:
        return
    problem = _redirect_refusal(seen) or _refusal(
        main, main.origin, credentials=target.credentials
    )
    if problem is None:
        values = ", ".join(main.all(_ALLOW_ORIGIN))
        yield fine("cors", f"A page of {main.origin} may read the stream", values)
        yield from _preflight(seen)
    else:
        title, evidence, advice = problem
        yield broken("cors", title, evidence, advice)


def _mixed_content(seen: Observation) -> Iterator[Finding]:
    if not (seen.target.origin or "").startswith("https:"):
        return
    plain = [
        one.address
        for one in (*seen.hops, seen.main)
        if one.address.scheme == "http" and not _is_of_this_machine(one.address.host)
    ]
    if plain:
        yield broken(
            "mixed-content",
            "A page of https:// may not open a stream of http://, so browsers block it",
            f"{seen.target.origin} → {plain[0].shown}",
            "Serve the stream with TLS, and write https:// in the page. If a redirect leads"
            " to http://, correct it.",
        )


def _is_of_this_machine(host: str) -> bool:
    """Return whether browsers trust a host without TLS (Secure Contexts, section 3.1)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _redirect_refusal(seen: Observation) -> tuple[str, str, str] | None:
    """
    Return why a browser does not follow a redirect.

    Fetch standard, "HTTP fetch": the CORS check comes before the status is looked at.
    """
    for hop in seen.hops:
        if hop.origin is None:
            continue
        problem = _refusal(hop, hop.origin, credentials=seen.target.credentials)
        if problem is not None:
            return (
                f"A page of {hop.origin} may not follow the redirect",
                f"{hop.address.shown} ({hop.status}): {problem[1]}",
                (
                    f"Write {seen.main.address.shown} in the page: browsers want the same"
                    " CORS headers of a redirect as of the stream. Or let what redirects"
                    " send them, too (nginx: add_header … always)."
                ),
            )
    return None


def _refusal(
    answer: Exchange, origin: str, *, credentials: bool
) -> tuple[str, str, str] | None:
    """Return why a browser refuses an answer: a title, the evidence, the advice."""
    values = answer.all(_ALLOW_ORIGIN)
    evidence = "; ".join(f"Access-Control-Allow-Origin: {value}" for value in values)
    allowed = values[0].strip() if values else ""
    if not values:
        return (
            f"A page of {origin} may not read the stream",
            "no Access-Control-Allow-Origin",
            (
                f"Allow the origin in the application: CORS(app, origins=[{origin!r}])."
                " If it does already, a proxy removes the header (nginx:"
                " proxy_hide_header), does not pass Origin on, or answers itself."
            ),
        )
    if len(values) > 1 or "," in allowed:
        return (
            "Access-Control-Allow-Origin is there twice, so browsers refuse it",
            evidence,
            (
                "The application and a proxy both add the header: remove it from one of"
                " them (nginx: add_header; Apache: Header set instead of Header add)."
            ),
        )
    if allowed == "*" and credentials:
        return (
            "A page that sends cookies may not use Access-Control-Allow-Origin: *",
            evidence,
            f"Name the origin: CORS(app, origins=[{origin!r}], supports_credentials=True).",
        )
    if allowed not in {"*", origin}:
        hint = ""
        if origin == "null":
            hint = " The origin is null because of a redirect: see redirect-origin."
        elif allowed.rstrip("/").lower() == origin.lower():
            hint = " They must be equal, letter for letter, without a final slash."
        return (
            f"Another origin than {origin} is allowed",
            evidence,
            f"Allow the origin: CORS(app, origins=[{origin!r}]).{hint}",
        )
    allows = answer.all("access-control-allow-credentials")
    if credentials and allows != ["true"]:
        return (
            "A page that sends cookies may not read the stream",
            f"Access-Control-Allow-Credentials: {', '.join(allows) or 'missing'}",
            f"Set CORS(app, origins=[{origin!r}], supports_credentials=True).",
        )
    return None


def _preflight(seen: Observation) -> Iterator[Finding]:
    target, answer = seen.target, seen.preflight
    if answer is None:
        return
    names = sorted({"last-event-id", *target.asked_names})
    problem = _preflight_refusal(seen, answer, names)
    if problem is None:
        evidence = ", ".join(names)
        yield fine("preflight", "Clients that use fetch may send their headers", evidence)
        return
    title, evidence, advice = problem
    # Without headers of its own, a page may use EventSource, which sends no preflight.
    make = broken if target.asked_names else warning
    yield make("preflight", title, evidence, advice)


def _preflight_refusal(
    seen: Observation, answer: Exchange, names: list[str]
) -> tuple[str, str, str] | None:
    asked = f"OPTIONS with Access-Control-Request-Headers: {','.join(names)}"
    native = " An EventSource needs no preflight; clients that use fetch do."
    if not 200 <= answer.status <= 299:  # noqa: PLR2004 - "ok status"
        what = f"status {answer.status}" if answer.status else "no answer"
        return (
            "The preflight of clients that use fetch fails",
            f"{asked}: {what}",
            (
                "Let OPTIONS requests reach the application without authentication and"
                f" without a redirect, or answer them in the proxy.{native}"
            ),
        )
    refusal = _refusal(answer, answer.origin or "", credentials=seen.target.credentials)
    if refusal is not None:
        title, evidence, advice = refusal
        return f"The preflight fails: {title}", f"{asked}: {evidence}", advice
    listed = (answer.header("access-control-allow-headers") or "").lower()
    allowed = {part.strip() for part in listed.split(",")}
    # The star covers neither Authorization nor requests with credentials.
    covers = "*" in allowed and not seen.target.credentials
    missing = [
        name
        for name in names
        if name not in allowed and not (covers and name != "authorization")
    ]
    if missing:
        return (
            f"The preflight does not allow {', '.join(missing)}",
            f"{asked}: Access-Control-Allow-Headers: {listed or 'missing'}",
            (
                "Allow these headers: allow_headers of CORS(…), or"
                " Access-Control-Allow-Headers of the proxy. If the application allows"
                " them already, a proxy does not pass Origin or Access-Control-Request-…"
                " on. Without Last-Event-ID a fetch-based client cannot"
                f" resume.{native}"
            ),
        )
    return None
