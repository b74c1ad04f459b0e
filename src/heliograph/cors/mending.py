r"""
What to write instead of an expression that matches no origin, or those of others.

Changes that mend what people often get wrong are tried, alone and together. Only an
expression that has been examined again is offered.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

from .proof import examine
from .regex import UnsafeRegexError, compile_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .proof import Findings

__all__ = ["mended_empty", "mended_open", "quoted"]


def quoted(text: str) -> str:
    """Return an expression as it is written in a program."""
    return f"r'{text}'" if "'" not in text and not text.endswith("\\") else repr(text)


def mended_empty(expression: re.Pattern[str]) -> str | None:
    """
    Return an expression that matches origins, in place of one that matches none.

    Args:
        expression: The expression.

    Returns:
        The new one's text; :obj:`None` if none was found.
    """
    changes = (_with_scheme, _with_any_subdomain, _without_path, _without_port, str.lower)
    return _first(expression, changes, lambda found: not found.is_empty)


def mended_open(expression: re.Pattern[str]) -> str | None:
    """
    Return an expression for names that are written out, in place of one that is too open.

    Args:
        expression: The expression.

    Returns:
        The new one's text; :obj:`None` if none was found.
    """
    changes = (_with_literal_dots, _with_whole_labels, _with_fixed_end)
    return _first(
        expression,
        changes,
        lambda found: found.stranger is None and not found.is_empty,
    )


def _first(
    expression: re.Pattern[str],
    changes: tuple[Callable[[str], str], ...],
    is_good: Callable[[Findings], bool],
) -> str | None:
    if expression.flags & re.VERBOSE:
        return None
    for changed in _changed(expression.pattern, changes):
        try:
            new = compile_bounded(re.compile(changed, expression.flags), ignore_case=False)
            if is_good(examine(new)):
                return changed
        except (re.error, UnsafeRegexError):
            continue
    return None


def _changed(text: str, changes: tuple[Callable[[str], str], ...]) -> Iterator[str]:
    for count in range(1, len(changes) + 1):
        for chosen in combinations(changes, count):
            changed = text.strip()
            for change in chosen:
                changed = change(changed)
            if changed != text:
                yield changed


def _with_scheme(text: str) -> str:
    bare = text.removeprefix("^").removeprefix("(?i)").removeprefix("//")
    if re.match(r"[a-z()|?\\+-]*:(?:\\?/)", bare):
        return text
    is_local = re.match(r"\(?(?:localhost|127|10|192|172|\\\[)", bare)
    host = f"(?:{bare})" if "|" in bare else bare
    return f"{'http' if is_local else 'https'}://{host}"


def _with_any_subdomain(text: str) -> str:
    # "https://*\.app\.example": a star as in a pattern.
    return re.sub(r"((?:\\?/){2})\*", r"\1.*", text)


def _without_path(text: str) -> str:
    return re.sub(r"\\?/(?:\.?\*|\?|\\w[*+])?\$?$", "", text)


def _without_port(text: str) -> str:
    return re.sub(r":(?:443|80)(?=\$?$)", "", text)


def _with_literal_dots(text: str) -> str:
    """Return an expression in which each dot that stands for one character is a dot."""
    parts = re.split(r"(\\.|\[\^?\]?[^\]]*\])", text)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"\.(?![*+?{])", r"\\.", parts[index])
    return "".join(parts)


def _with_whole_labels(text: str) -> str:
    """Return an expression in which what is left open ends before a dot."""
    return re.sub(
        r"((?:\\w|\\S|\[[^\]]*\]|\.)[*+])(?:\\\.\?)?(?=[a-z0-9])",
        r"(\1\\.)?",
        text,
        count=1,
    )


def _with_fixed_end(text: str) -> str:
    """Return an expression without what it leaves open at its end."""
    return re.sub(r"(?:[/:]\??)?(?:\\?[A-Za-z.][*+]\??|/?\.\*)+\$?$", "", text)
