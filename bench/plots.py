"""
Plots as SVG, light or dark as the reader's browser is.

`bars` and `curves` return a `Plot`: a name for the file and the text of the SVG. Bars of ours
stand out; what is compared with them is grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

_WIDTH = 800
_LABELS = 350
_VALUES = 96
_ROW = 24
_TOP = 44
_OURS = "Heliograph"

_STYLE = """
  .paper { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-weight: 600; font-size: 15px } .small { font-size: 11px }
  .ours { fill: #0969da } .other { fill: #afb8c1 } .grid { stroke: #d1d9e0 }
  .line { fill: none; stroke-width: 2 }
  .c0 { stroke: #0969da } .c1 { stroke: #1a7f37 } .c2 { stroke: #9a6700 }
  .c3 { stroke: #cf222e } .c4 { stroke: #8250df } .c5 { stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #f0f6fc }
    .ours { fill: #4493f8 } .other { fill: #656c76 } .grid { stroke: #3d444d }
    .c0 { stroke: #4493f8 } .c1 { stroke: #3fb950 } .c2 { stroke: #d29922 }
    .c3 { stroke: #f85149 } .c4 { stroke: #ab7df8 } .c5 { stroke: #9198a1 }
  }
"""
_COLOURS = 6


@dataclass(frozen=True)
class Plot:
    """
    A picture.

    Attributes:
        name: Of its file, without the ending.
        title: What it shows, which is also its text for those who cannot see it.
        svg: The text of the file.
    """

    name: str
    title: str
    svg: str


def bars(name, title, values, show):
    """
    Return a plot with a horizontal bar for each value.

    Args:
        name: Of the file.
        title: What the values are, with their unit.
        values: By label, in the order from top to bottom.
        show: Formats a value.
    """
    most = max(values.values(), default=0) or 1
    room = _WIDTH - _LABELS - _VALUES
    parts = []
    for i, (label, value) in enumerate(values.items()):
        y = _TOP + i * _ROW
        width = max(1, room * value / most)
        kind = "ours" if label.startswith(_OURS) else "other"
        parts += [
            _text(_LABELS - 8, y + 15, label, anchor="end"),
            _bar(kind, y + 3, width),
            _text(_LABELS + width + 6, y + 15, show(value)),
        ]
    return _plot(name, title, parts, _TOP + len(values) * _ROW + 12)


def curves(name, title, lines, across, show):
    """
    Return a plot with a line for each label.

    Args:
        name: Of the file.
        title: What the values are, with their unit.
        lines: By label a list of values, at 1, 2, 3 … of `across`.
        across: What the horizontal axis counts.
        show: Formats a value.
    """
    left, width, height = 64, _WIDTH - 64 - 24, 240
    most = _above(max((value for values in lines.values() for value in values), default=0))
    longest = max((len(values) for values in lines.values()), default=2)
    step = width / max(1, longest - 1)
    parts = []
    for quarter in range(5):
        y = _TOP + height - height * quarter / 4
        parts += [
            f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}"/>',
            _text(left - 6, y + 4, show(most * quarter / 4), anchor="end", kind="small"),
        ]
    for i in range(longest):
        x, y = left + i * step, _TOP + height + 16
        parts.append(_text(x, y, str(i + 1), anchor="middle", kind="small"))
    bottom = _TOP + height + 34
    parts.append(_text(left + width / 2, bottom, across, anchor="middle", kind="small"))
    for i, (label, values) in enumerate(lines.items()):
        colour, y = f"line c{i % _COLOURS}", bottom + 20 + i * 18
        points = " ".join(
            f"{left + n * step:.1f},{_TOP + height - height * value / most:.1f}"
            for n, value in enumerate(values)
        )
        parts += [
            f'<polyline class="{colour}" points="{points}"/>',
            f'<line class="{colour}" x1="{left}" y1="{y - 4}" x2="{left + 24}" y2="{y - 4}"/>',
            _text(left + 32, y, label),
        ]
    return _plot(name, title, parts, bottom + 20 + len(lines) * 18)


def _above(value):
    """A number whose quarters are round, not below a value."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    return next(factor * power for factor in (1, 2, 4, 8, 10) if factor * power >= value)


def _text(x, y, text, *, anchor="start", kind=""):
    attributes = f' class="{kind}"' if kind else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attributes}>'
        f"{escape(text)}</text>"
    )


def _bar(kind, y, width):
    return (
        f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{width:.1f}"'
        f' height="{_ROW - 6}" rx="2"/>'
    )


def _plot(name, title, parts, height):
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
        f' role="img" aria-label="{escape(title)}">'
    )
    body = [
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height:.0f}"/>',
        _text(16, 26, title, kind="title"),
        *parts,
    ]
    return Plot(name, title, "\n".join([head, *body, "</svg>", ""]))
