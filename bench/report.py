"""
What is said of results: whether targets are met, and the page docs/performance.md.

The page is written by hand but for what stands between `<!-- bench: NAME -->` and `<!-- end -->`:
tables and plots of the scenario with that name, or `targets`, `growth`, `measured`.
"""

from __future__ import annotations

import pathlib
import re

import growth
import targets
from scenarios import SCENARIOS

_ROOT = pathlib.Path(__file__).parents[1]
PAGE = _ROOT / "docs" / "performance.md"
_PARTS = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def judgements(found):
    """Yield a line for each target: what was measured, and whether it is met."""
    for target in targets.judge(found):
        yield f"{target.verdict:7} ({target.letter}) {target.text}: {target.measured}"


def write_page(measured, page=PAGE):
    """Write the page's parts, and its plots beside it, from results by scenario."""
    plots = page.parent / page.stem
    plots.mkdir(exist_ok=True)

    def part(match):
        name = match[2]
        text = _part(name, measured, plots)
        return match[1] + (f"\n{text}\n\n" if text else "") + match[3]

    page.write_text(_PARTS.sub(part, page.read_text()))


def _part(name, measured, plots):
    rows = {key: result["rows"] for key, result in measured.items()}
    if name == "targets":
        return targets.markdown(targets.judge(rows))
    if name == "growth":
        return growth.markdown(rows)
    if name == "measured":
        return _measured(measured)
    return _scenario(name, measured.get(name), plots)


def _measured(measured):
    """Where and when: normally the same for all scenarios."""
    if not measured:
        return "Nothing has been measured yet."
    first = next(iter(measured.values()))
    days = sorted({result["at"] for result in measured.values()})
    commits = sorted({result["commit"] for result in measured.values()})
    return (
        f"Measured from {days[0]} to {days[-1]} on {first['machine']}; {first['versions']};"
        f" commit {', '.join(commits)}."
    )


def _scenario(name, result, plots):
    if result is None:
        return "Not measured yet."
    letters, module = name.partition("_")[0], SCENARIOS[name]
    parts = []
    for plot in module.plots(result["rows"]):
        (plots / f"{plot.name}.svg").write_text(plot.svg)
        parts.append(f"![{plot.title}]({plots.name}/{plot.name}.svg)")
    parts += [
        one.markdown() for one in module.tables(result["rows"]) if one.lines or one.notes
    ]
    parts.append(f"Reproduce: `python bench {' '.join(letters)}` ({result['at']})")
    return "\n\n".join(parts)
