"""
Tables of results: for a terminal, and in Markdown for the documentation.

A table has a line for each hub (or whatever `by` names) and a column for each figure. Behind a
figure stands how many times that of the best peer it is. Marks: `~` other programs disturbed the
run, and all its repeats; `!` the events that arrived were not exactly those that were published;
`*` the load generator was busy for over nine tenths of the time, so a hub may be faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOUD, FLAWED, LIMITED, MISSING = "~", "!", "*", "-"
FLAWS = (
    *("holes", "repeats", "disorders", "closed", "silent", "errors", "refused"),
    "unfinished",
)
# Of the load generator's time.
_BUSY = 0.9
_KINDS = ("ours", "peer", "floor")


@dataclass(frozen=True)
class Column:
    """
    A figure of each line.

    Args:
        heading: What stands above it.
        value: A row's figure: the name of a field, or a function of the row.
        show: Formats it.
        where: Fields that the row must have: a line may have several rows.
        best: `max` or `min` for a comparison with the best peer's, None for none.
    """

    heading: str
    value: str | Callable[[dict[str, Any]], float | None]
    show: Callable[[float], str]
    where: dict[str, Any] = field(default_factory=dict)
    best: Any = None

    def row(self, rows):
        """The row of a line that has this figure, None if there is none."""
        for row in rows:
            if all(row.get(name) == value for name, value in self.where.items()):
                return row
        return None

    def figure(self, row):
        if row is None or "failed" in row:
            return None
        return row.get(self.value) if isinstance(self.value, str) else self.value(row)


@dataclass(frozen=True)
class Table:
    """A title, headings, and lines of texts."""

    title: str
    headings: list[str]
    lines: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def text(self):
        """For a terminal."""
        lines = [self.headings, *self.lines]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.headings))]
        drawn = [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, *(f"  {one}" for one in [*drawn, *self.notes])])

    def markdown(self):
        """For the documentation."""
        head = [f"**{self.title}**", ""]
        rule = "|---|" + "---:|" * (len(self.headings) - 1)
        lines = [f"| {' | '.join(line)} |" for line in [self.headings, *self.lines]]
        notes = ["", *(f"{note}  " for note in self.notes)] if self.notes else []
        return "\n".join([*head, lines[0], rule, *lines[1:], *notes])


def table(title, rows, columns, *, by="hub", first="", note=None):
    """Return a table of rows with a line for each value of the field `by`."""
    lines, notes = [], [note] if note else []
    names = list(dict.fromkeys(row[by] for row in rows if by in row))
    names.sort(key=lambda name: _KINDS.index(_kind(rows, by, name)))
    for name in names:
        own = [row for row in rows if row.get(by) == name]
        cells = [_cell(column, own, rows) for column in columns]
        if any(cell != MISSING for cell in cells):
            lines.append([str(name), *cells])
        failed = next((row["failed"] for row in own if "failed" in row), None)
        if failed:
            notes.append(f"{name}: left out: {failed.splitlines()[0]}")
    return Table(title, [first, *(column.heading for column in columns)], lines, notes)


def _kind(rows, by, name):
    return next(row.get("kind", "ours") for row in rows if row.get(by) == name)


def _cell(column, own, rows):
    row = column.row(own)
    figure = column.figure(row)
    if figure is None:
        return MISSING
    cell = column.show(figure)
    best = best_peer(column, rows) if row.get("kind") == "ours" else None
    if best:
        cell += f" ({times(figure / best)})"
    if row.get("loud"):
        cell += f" {LOUD}"
    if any(row.get(flaw) for flaw in FLAWS):
        cell += f" {FLAWED}"
    if row.get("load_cpu", 0) > _BUSY:
        cell += f" {LIMITED}"
    return cell


def best_peer(column, rows):
    """The best figure of a peer in a column, None if there is none."""
    if column.best is None:
        return None
    figures = [
        column.figure(row)
        for row in rows
        if row.get("kind") == "peer" and column.row([row]) is row
    ]
    return column.best((one for one in figures if one), default=None)


def count(figure):
    """4210, 276 k, 4,210 k."""
    if figure >= 100_000:
        return f"{figure / 1000:,.0f} k"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def decimal(figure):
    """Three digits: 0.123, 4.56, 78.9, 1,234."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:#.3g}"


def megabytes(figure):
    return decimal(figure / 1e6)


def percent(figure):
    return f"{figure:.0%}"


def times(figure):
    return f"{figure:.2f}x" if figure < 10 else f"{figure:.1f}x"
