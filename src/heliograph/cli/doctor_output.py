"""How the findings of the doctor are shown: to people, in lines, as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

from ..doctor import Verdict, examine
from ..doctor.target import show_url
from ..documentation import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..doctor import Finding, Target
    from ..doctor.observation import Observation

__all__ = ["exit_code", "print_findings", "print_json", "watched"]

_CODES = {Verdict.BROKEN: 2, Verdict.WARNING: 1, Verdict.SKIPPED: 0, Verdict.OK: 0}
_SYMBOLS = {
    Verdict.OK: ("✓", "green"),
    Verdict.WARNING: ("!", "yellow"),
    Verdict.BROKEN: ("✗", "red"),
    Verdict.SKIPPED: ("·", "dim"),
}
_LINK = f"{page('doctor.md')}#"


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 if all is well, 1 for warnings, 2 if something is broken."""
    return max((_CODES[one.verdict] for one in findings), default=0)


def watched(target: Target, *, is_shown: bool) -> Observation:
    """
    Examine a stream.

    Args:
        target: What to examine.
        is_shown: Whether to show a person what is being done, on stderr.
    """
    if not is_shown:
        return examine(target)
    from rich.console import Console  # noqa: PLC0415 - for terminals only

    with Console(stderr=True).status("connecting") as status:
        return examine(target, status.update)


def print_json(target: Target, findings: Sequence[Finding]) -> None:
    """Print one document with all findings."""
    document = {
        "url": show_url(target.url),
        "exit_code": exit_code(findings),
        "findings": [
            {**one._asdict(), "verdict": one.verdict.value, "documentation": _link(one)}
            for one in findings
        ],
    }
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_findings(target: Target, findings: Sequence[Finding]) -> None:
    """Print the findings: with colours to a terminal, else in plain lines."""
    if sys.stdout.isatty():
        _print_rich(target, findings)
    else:
        print(show_url(target.url))
        for one in findings:
            print("\n".join(_lines(one)))
        print(_summary(findings))


def _link(finding: Finding) -> str:
    return f"{_LINK}{finding.code}"


def _details(finding: Finding) -> list[str]:
    """Return what follows the title."""
    if finding.verdict is Verdict.OK:
        return [finding.advice] if finding.advice else []
    return [text for text in (finding.evidence, finding.advice, _link(finding)) if text]


def _lines(finding: Finding) -> list[str]:
    evidence = f" ({finding.evidence})" if finding.evidence else ""
    title = finding.title + (evidence if finding.verdict is Verdict.OK else "")
    first = f"{finding.verdict.value:<8} {finding.code}: {title}"
    return [first, *(f"         {text}" for text in _details(finding))]


def _summary(findings: Sequence[Finding]) -> str:
    count = Counter(one.verdict for one in findings)
    return ", ".join(
        f"{count[verdict]} {verdict.value}"
        for verdict in (Verdict.BROKEN, Verdict.WARNING, Verdict.OK, Verdict.SKIPPED)
    )


def _print_rich(target: Target, findings: Sequence[Finding]) -> None:
    from rich.console import Console  # noqa: PLC0415 - for terminals only
    from rich.padding import Padding  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    console = Console(highlight=False, soft_wrap=False)
    console.print(Text(show_url(target.url), style="bold"))
    for one in findings:
        symbol, style = _SYMBOLS[one.verdict]
        is_plain = one.verdict in {Verdict.OK, Verdict.SKIPPED}
        line = Text.assemble((symbol, style), " ", (one.title, "" if is_plain else "bold"))
        if one.verdict is Verdict.OK and one.evidence:
            line.append(f"  {one.evidence}", style="dim")
        console.print(line)
        for text in _details(one):
            # A text and no markup: what a server sends may have brackets.
            style = "cyan" if text == one.advice and not is_plain else "dim"
            console.print(Padding(Text(text, style=style), (0, 0, 0, 4)))
    worst = max(findings, key=lambda one: _CODES[one.verdict]).verdict
    console.print(Text(_summary(findings), style=_SYMBOLS[worst][1]))
