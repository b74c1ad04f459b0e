r"""
Rules that let the pages of others in: what is said of them, and what to write instead.

With credentials they are mistakes: such a page acts in the name of a visitor who is logged
in, and reads what the visitor may read. Without them, a page reads what it could fetch by
itself, unless the server is in a network that only the visitor can reach. There, and only
about expressions that look like accidents, a warning is enough: Flask-CORS accepts
``http?://\w*\.?example\.com:?\d*/?.*``, which its own tests have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .mending import mended_open, quoted
from .origins import FILES
from .proof import examine

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from .origins import Origins

__all__ = ["HATCH", "accidents", "unsafe_origins"]

HATCH: Final = "dangerously_allow_any_origin_with_credentials"
"""The option that allows them all the same."""

_WAY_OUT = (
    "write the origins that you trust, such as 'https://app.example', or a function that"
    f" decides; if you really want this, set {HATCH}=True"
)


def unsafe_origins(origins: Origins) -> Iterator[str]:
    """Yield a sentence for each rule that must not be used with credentials."""
    if origins.any_origin:
        # Browsers reject "*" with credentials (Fetch, "CORS check"). Starlette 1.10 echoes
        # the origin instead, which passes that check for every web site.
        yield (
            "origins: '*' with supports_credentials lets any web site act in the name of"
            f" your visitors, and read what they may read; {_WAY_OUT}"
        )
    if origins.null:
        yield (
            "origins: 'null' with supports_credentials lets any web site in, through a"
            f" sandboxed frame; {_WAY_OUT}"
        )
    if FILES in origins.exact:
        yield (
            f"origins: {FILES!r} with supports_credentials lets in every page that a"
            f" visitor has saved, or was sent, as a file; {_WAY_OUT}"
        )
    for expression, rule in origins.expressions.items():
        found = examine(expression).stranger
        if found is None:
            continue
        hint = _way_to_mend(expression, rule)
        if found.is_certain:
            yield (
                f"origins: {rule!r} with supports_credentials also allows {found.origin!r},"
                f" which may be somebody else's; {hint}"
            )
        else:
            yield (
                f"origins: {rule!r} with supports_credentials cannot be proven to exclude"
                f" what may be somebody else's, such as {found.origin!r}; {hint}"
            )


def accidents(origins: Origins) -> Iterator[str]:
    """Yield a sentence for each expression that restricts a domain, and leaves it open."""
    for expression, rule in origins.expressions.items():
        _, stranger, found = examine(expression)
        if found is None:
            continue
        allows = "also allows" if found.is_certain else "may also allow"
        if stranger is None:
            # A dot in front of a name that is written out.
            mended = mended_open(expression)
            hint = f"write {quoted(mended)}" if mended else r"write '\.' for a dot"
            yield (
                f"origins: {rule!r} {allows} {found.origin!r}, because a dot stands for any"
                f" character; {hint}, or '[a-z0-9]' for any character"
            )
            continue
        yield (
            f"origins: {rule!r} {allows} {found.origin!r}, which may be somebody else's;"
            f" {_way_to_mend(expression, rule).partition('; ')[0]}"
        )


def _way_to_mend(expression: re.Pattern[str], rule: str) -> str:
    mended = mended_open(expression)
    if mended:
        return f"write {quoted(mended)}; if you really want this, set {HATCH}=True"
    if expression.pattern != rule:
        # It is a pattern, which has no dots to escape.
        host = rule.rpartition("*.")[2]
        return (
            f"write a name of yours behind the star, as in '*.yours.{host}'; or {_WAY_OUT}"
        )
    return (
        r"write '\.' for a dot, and end the host with a name that is written out, as in"
        rf" r'https://(.*\.)?yours\.example'; or {_WAY_OUT}"
    )
