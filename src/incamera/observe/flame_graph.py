"""A flame graph: stacks as one SVG file, which any browser shows. A click on a box zooms in."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from incamera.units import format_count, printable

if TYPE_CHECKING:
    from incamera.observe.stacks import Stack

_WIDTH = 1200.0
_ROW = 17
_TOP = 44
_CHARACTER = 6.6
# What is narrower cannot be seen.
_LEAST = 0.2


@dataclass(slots=True)
class _Box:
    count: int = 0
    callees: dict[str, _Box] = field(default_factory=dict)


def draw_flame(stacks: Mapping[Stack, int], title: str, subtitle: str = "") -> bytes:
    """Return an SVG of *stacks*: outermost boxes at the bottom, each as wide as it was often seen."""
    root = _Box()
    for stack, count in stacks.items():
        box = root
        box.count += count
        for called in stack:
            box = box.callees.setdefault(printable(str(called)), _Box())
            box.count += count
    height = _TOP + (1 + max(map(len, stacks), default=0)) * _ROW + 8
    script = resources.files("incamera.observe").joinpath("data/flame.js").read_text("utf-8")
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height}" width="{_WIDTH:.0f}" '
        f'height="{height}" font-family="monospace" font-size="11">',
        "<style>rect { stroke: #fff; stroke-width: 0.5 } g { cursor: pointer } g:hover rect { stroke: #000 }</style>",
        '<rect width="100%" height="100%" fill="#fffdf7"/>',
        f'<text x="6" y="18" font-size="14">{escape(printable(title))}</text>',
        f'<text x="6" y="34" fill="#666">{escape(printable(subtitle))}</text>',
        *_draw(root, height - 8 - _ROW),
        f"<script><![CDATA[\n{script}]]></script>",
        "</svg>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _draw(root: _Box, bottom: float) -> Iterator[str]:
    # Not by recursion: an app's stacks may be deeper than ours can be.
    waiting = [(root, "all", 0.0, bottom)]
    while waiting:
        box, name, x, y = waiting.pop()
        width = _WIDTH * box.count / root.count if root.count else _WIDTH
        if width < _LEAST:
            continue
        samples = format_count(box.count, "sample")
        share = 100 * box.count / root.count if root.count else 100
        yield (
            f'<g data-x="{x:.3f}" data-width="{width:.3f}"><title>{escape(name)} ({samples}, {share:.1f} %)</title>'
            f'<rect x="{x:.3f}" y="{y}" width="{width:.3f}" height="{_ROW - 1}" fill="{_colour(name)}"/>'
            f'<text x="{x + 3:.3f}" y="{y + 12}">{escape(_fit(name, width))}</text></g>'
        )
        above = []
        for callee_name, callee in sorted(box.callees.items()):
            above.append((callee, callee_name, x, y - _ROW))
            x += _WIDTH * callee.count / root.count
        waiting += reversed(above)


def _fit(name: str, width: float) -> str:
    room = int((width - 6) / _CHARACTER)
    if len(name) <= room:
        return name
    return name[: room - 1] + "…" if room > 2 else ""


def _colour(name: str) -> str:
    """One for each file: neighbours of one file look like neighbours."""
    if "(" not in name:
        return "#e0ddd5"
    seed = zlib.crc32(name.rpartition("(")[2].partition(":")[0].encode())
    return f"hsl({20 + seed % 40}, {65 + seed // 40 % 25}%, {62 + seed // 1000 % 14}%)"
