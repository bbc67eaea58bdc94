"""Bars in an SVG file that can be read on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
_LABEL, _VALUE = 130, 70
_ROW, _GAP, _HEAD = 22, 30, 30
# The first is what all others are compared with.
_COLOURS = ("#8a8f98", "#2f81f7", "#2da44e", "#bf8700", "#a371f7", "#d1574b")


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: float
    text: str


def draw_chart(title: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Return an SVG with a group of bars for each of *groups*, each on a scale of its own."""
    room = WIDTH - _LABEL - _VALUE
    parts: list[str] = []
    y = _HEAD
    for name, bars in groups:
        y += _GAP
        parts.append(f'<text class="head" x="0" y="{y - 8}">{escape(name)}</text>')
        most = max((bar.value for bar in bars), default=0) or 1
        for bar, colour in zip(bars, _COLOURS, strict=False):
            length = max(1.0, room * bar.value / most)
            parts.append(f'<text x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>')
            parts.append(f'<rect x="{_LABEL}" y="{y + 2}" width="{length:.1f}" height="16" rx="2" fill="{colour}"/>')
            parts.append(f'<text x="{_LABEL + length + 6:.1f}" y="{y + 14}">{escape(bar.text)}</text>')
            y += _ROW
    style = (
        "text{font:13px system-ui,sans-serif;fill:#1f2328}.head{font-weight:600}.title{font-size:15px;font-weight:600}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
    )
    height = y + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n'
        f'<style>{style}</style>\n<text class="title" x="0" y="20">{escape(title)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
