r"""
What to write instead of an expression that matches no origin, or those of others.

Changes that mend what people often get wrong are tried, alone and together. Only an
expression that has been examined again is offered.
"""

from __future__ import annotations

import re
from itertools import combinations
from re import _parser as parser  # type: ignore[attr-defined]  # no public way to see it
from typing import TYPE_CHECKING

from .proof import examine
from .regex import UnsafeRegexError, compile_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .proof import Findings

__all__ = ["mended_cost", "mended_empty", "mended_open", "mended_star", "quoted"]

# Nobody could compare two expressions that are longer, and to examine many takes long.
_MAX_CHARACTERS = 150

# What may be a host and a port, if it is not clear that it is something else.
_HOST = re.compile(
    r"[(a-z0-9.*\\](?:[a-z0-9.*+?()|\\:_-]|\\?\[[^\]]*\]|\{[0-9,]+\})*\$?", re.IGNORECASE
)


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
    changes = (_with_scheme, _with_any_text, _without_path, _without_port, _in_lower_case)
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
    return _first(expression, changes, lambda found: found == (False, None, None))


def mended_star(text: str) -> str | None:
    """
    Return an expression in place of one that has stars as a pattern has.

    Args:
        text: The expression. It may be invalid.

    Returns:
        The new one's text; :obj:`None` if none was found.
    """
    new = _with_any_text(text)
    try:
        expression = re.compile(new, re.IGNORECASE)
        is_good = examine(compile_bounded(expression, ignore_case=True)).stranger is None
    except (re.error, UnsafeRegexError):
        return None
    return new if is_good else mended_open(expression)


def mended_cost(rule: str | re.Pattern[str]) -> str | None:
    """
    Return an expression of bounded cost, in place of one whose dots are not escaped.

    Args:
        rule: The expression. It may be invalid.

    Returns:
        The new one's text; :obj:`None` if it does not help to escape them.
    """
    try:
        expression = re.compile(rule)
    except (re.error, OverflowError, RecursionError, FutureWarning):
        return None
    if not isinstance(expression.pattern, str):
        return None
    return _first(expression, (_with_literal_dots,), lambda found: not found.is_empty)


def _first(
    expression: re.Pattern[str],
    changes: tuple[Callable[[str], str], ...],
    is_good: Callable[[Findings], bool],
) -> str | None:
    if (
        expression.flags & re.VERBOSE
        or parser.parse(expression.pattern, expression.flags).getwidth()[0]
        > _MAX_CHARACTERS
        or len(expression.pattern) > _MAX_CHARACTERS
    ):
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
    tried = {text}
    for count in range(1, len(changes) + 1):
        for chosen in combinations(changes, count):
            changed = text.strip()
            for change in chosen:
                changed = change(changed)
            if changed not in tried:
                tried.add(changed)
                yield changed


def _with_scheme(text: str) -> str:
    bare = text.removeprefix("^").removeprefix("//")
    if bare.startswith("\\."):
        bare = f".*{bare}"
    if not _HOST.fullmatch(bare):
        return text
    is_local = re.match(r"\(?(?:localhost|127|10|192|172|\\\[)", bare)
    host = f"(?:{bare})" if "|" in bare else bare
    return f"{'http' if is_local else 'https'}://{host}"


def _with_any_text(text: str) -> str:
    """Return an expression with ".*" where somebody has written a star as in a pattern."""
    text = re.sub(r"((?:\\?/){2})\*\.?(?=\\\.)", r"\1.*", text)
    text = re.sub(r"((?:\\?/){2})\*", r"\1.*", text)
    text = re.sub(r":\*(?=\$?$)", r"(:\\d+)?", text)
    return re.sub(r"(?<![\\\])])([a-z0-9-])\*", r"\1.*", text)


def _without_path(text: str) -> str:
    return re.sub(r"\\?/(?:\.?\*|\?|\\w[*+])?\$?$", "", text)


def _without_port(text: str) -> str:
    return re.sub(r":(?:443|80)(?=\$?$)", "", text)


def _in_lower_case(text: str) -> str:
    return _outside_of_sets(text, lambda part: part.lower())


def _with_literal_dots(text: str) -> str:
    """Return an expression in which each dot that stands for one character is a dot."""
    text = re.sub(r"\\\.[?*](?=[a-z0-9])", r"\\.", text)
    return _outside_of_sets(text, lambda part: re.sub(r"\.(?![*+?{])", r"\\.", part))


def _with_whole_labels(text: str) -> str:
    """Return an expression in which what is left open ends before a dot."""
    return re.sub(
        r"(?<=//)\(?((?:\\w|\\S|\[[^\]]*\]|\.)[*+]\??)(?:\\\.\?)?\)?(?=[a-z0-9])",
        r"(\1\\.)?",
        text,
        count=1,
    )


def _with_fixed_end(text: str) -> str:
    """Return an expression without what it leaves open at its end, but for any port."""
    bare = re.sub(
        r"(?:[/:]\??)?(?:\\d\*)?/?\??\(?(?:\.|\\[wSW]|\[[^\]]*\])[*+]\)?\??\$?$", "", text
    )
    if bare == text or bare.endswith((".", "/", ":", "\\")):
        return text
    is_local = ":" in text[len(bare) :] or re.search(
        r"localhost$|\\?\.(?:\d+|\\d.*)$", bare
    )
    return rf"{bare}(:\d+)?" if is_local else bare


def _outside_of_sets(text: str, change: Callable[[str], str]) -> str:
    """Return an expression that is changed where it has neither sets nor escapes."""
    parts = re.split(r"(\\.|\[\^?\]?[^\]]*\])", text)
    parts[::2] = map(change, parts[::2])
    return "".join(parts)
