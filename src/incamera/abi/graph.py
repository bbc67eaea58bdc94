"""A picture of who needs whom, as SVG: what asks on the left, what is asked further right, what is missing in red."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Severity
from incamera.abi.loader_rule import LIBC_FAMILY

if TYPE_CHECKING:
    from incamera.abi.findings import Report
    from incamera.abi.objects import Object
    from incamera.abi.world import World

_ROW, _HEIGHT, _GAP, _MARGIN, _TOP = 24, 19, 150, 20, 64
_CHARACTER = 6.3
_LONGEST = 46
_TALLEST = 120
_SWEEPS = 4
# With glibc's own: what nearly all files need, so that lines to it would say nothing.
_COMPILERS = re.compile(r"lib(?:gcc_s|stdc\+\+)\.so\.\d+")
# Fill and frame of the boxes.
_COLOURS = {
    "file": ("#ffffff", "#8a8f98"),
    "library": ("#e8f1fb", "#5b8fc7"),
    "camera": ("#e9f6ea", "#5fa463"),
    "warning": ("#fff6dd", "#c9962a"),
    "error": ("#fde7e7", "#cc2b2b"),
    "missing": ("#cc2b2b", "#8f1414"),
}
_LEGEND = {
    "file": "modules and programs",
    "library": "libraries brought along",
    "camera": "the camera's",
    "warning": "with a warning",
    "error": "cannot work",
    "missing": "missing",
}


@dataclass(slots=True, eq=False)
class _Box:
    label: str
    colour: str
    title: str
    needs: dict[_Box, bool] = field(default_factory=dict)
    """Whom it needs, and whether that fails."""
    column: int = 0
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        return len(self.label) * _CHARACTER + 14


def draw_graph(report: Report, world: World) -> str:
    """Return the picture of a report. What nearly all files need is left out where nothing is wrong with it."""
    boxes = _make_boxes(report, world)
    columns = _split(_order(_arrange(boxes)))
    width, height = _place(columns)
    return _render(report, boxes, width, height)


def _make_boxes(report: Report, world: World) -> list[_Box]:
    findings: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        findings[finding.file].append(finding)
    found: dict[Object, dict[str, Object | None]] = {}
    for loaded in world.loads:
        for item in loaded.load.objects:
            found.setdefault(item, {})
        for (item, name), other in loaded.load.found.items():
            found[item].setdefault(name, other)
    objects = [item for item in found if not (item.camera or item.base) or _is_asked(item, found)]
    shown = [item for item in objects if not _is_common(item) or item.path in findings]
    by_object = _group(shown, found, findings)
    boxes: dict[str, _Box] = {}
    for item in shown:
        box = by_object[item]
        for name, other in found[item].items():
            if other is None:
                target = boxes.setdefault(name, _Box(name, "missing", f"{name}: nobody has it"))
                box.needs[target] = True
            elif other in by_object and by_object[other] is not box:
                target = by_object[other]
                broken = any(
                    other.path in finding.provides or name in finding.provides for finding in findings[item.path]
                )
                box.needs[target] = box.needs.get(target, False) or (broken and box.colour == "error")
    alone = [
        _Box(_shorten(file), _worst(found_there), _tooltip(file, found_there))
        for file, found_there in findings.items()
        if file not in {item.path for item in shown}
    ]
    return [*dict.fromkeys(by_object.values()), *boxes.values(), *alone]


def _is_common(item: Object) -> bool:
    return LIBC_FAMILY.fullmatch(item.name) is not None or _COMPILERS.fullmatch(item.name) is not None


def _is_asked(item: Object, found: Mapping[Object, Mapping[str, Object | None]]) -> bool:
    """Is it one of the camera's, or of the bare runtime's, that a file of ours needs?"""
    return any(item in needs.values() for other, needs in found.items() if other.ours or not _is_common(other))


def _group(
    objects: Sequence[Object],
    found: Mapping[Object, Mapping[str, Object | None]],
    findings: Mapping[str, Sequence[Finding]],
) -> dict[Object, _Box]:
    """Give each file its box; sound modules of one folder that need the same share one."""
    asked = {other for needs in found.values() for other in needs.values()}
    groups: dict[tuple[object, ...], list[Object]] = defaultdict(list)
    for item in objects:
        alone = item in asked or item.path in findings or not item.ours
        needs = frozenset(name for name, other in found[item].items() if other is None or not _is_common(other))
        groups[(item,) if alone else (item.folder, needs)].append(item)
    boxes: dict[Object, _Box] = {}
    for members in groups.values():
        first = members[0]
        if len(members) > 1:
            names = "\n".join(item.name for item in members)
            box = _Box(_shorten(f"{first.folder or '.'}/ ({len(members)} files)"), "file", f"{first.folder}/\n{names}")
        else:
            own = findings.get(first.path, ())
            kind = "camera" if first.camera else "library" if first in asked else "file"
            box = _Box(_shorten(_label(first)), _worst(own) if own else kind, _tooltip(first.path, own))
        boxes |= dict.fromkeys(members, box)
    return boxes


def _label(item: Object) -> str:
    if item.camera or item.folder in ("", "lib") or item.folder.endswith(".libs"):
        return item.name
    return f"{item.folder.rpartition('/')[2]}/{item.name}"


def _shorten(text: str) -> str:
    for part in ("lib/python3/dist-packages/", ".cpython-"):
        if part == ".cpython-" and part in text:
            text = text.partition(part)[0] + ("" if text.endswith(")") else ".so")
        else:
            text = text.removeprefix(part)
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]


def _worst(findings: Iterable[Finding]) -> str:
    return "error" if any(finding.severity is Severity.error for finding in findings) else "warning"


def _tooltip(path: str, findings: Iterable[Finding]) -> str:
    return "\n".join([path, *(f"{one.kind}: needs {one.needs}, there is {one.provides}" for one in findings)])


def _arrange(boxes: Sequence[_Box]) -> list[list[_Box]]:
    """Put each box to the right of all who need it."""
    for _ in boxes:  # a circle would push its members to the right for ever
        moved = False
        for box in boxes:
            for other in box.needs:
                if other.column <= box.column < len(boxes) - 1 and box not in other.needs:
                    other.column = box.column + 1
                    moved = True
        if not moved:
            break
    columns: dict[int, list[_Box]] = defaultdict(list)
    for box in boxes:
        columns[box.column].append(box)
    return [sorted(columns[number], key=lambda box: box.title) for number in sorted(columns)]


def _order(columns: list[list[_Box]]) -> list[list[_Box]]:
    """Move boxes towards those that they are joined with, so that fewer lines cross."""
    neighbours: dict[_Box, list[_Box]] = defaultdict(list)
    for column in columns:
        for box in column:
            for other in box.needs:
                neighbours[box].append(other)
                neighbours[other].append(box)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            middle = {box: place / len(other) for other in columns for place, box in enumerate(other)}
            column.sort(
                key=lambda box: (
                    sum(middle[other] for other in neighbours[box]) / (len(neighbours[box]) or 1)
                    if neighbours[box]
                    else middle[box]
                )
            )
    return columns


def _split(columns: Iterable[Sequence[_Box]]) -> list[Sequence[_Box]]:
    """Break columns that are taller than a page."""
    parts: list[Sequence[_Box]] = []
    for column in columns:
        count = -(-len(column) // _TALLEST)
        size = -(-len(column) // max(count, 1))
        parts += [column[start : start + size] for start in range(0, len(column), size or 1)]
    return parts


def _place(columns: Sequence[Sequence[_Box]]) -> tuple[float, float]:
    tallest = max((len(column) for column in columns), default=1)
    x = float(_MARGIN)
    for column in columns:
        # Shorter columns are spread over the height, so that lines run level.
        step = _ROW if len(column) == tallest else min(tallest / (len(column) or 1), 4) * _ROW
        y = _TOP + (tallest * _ROW - len(column) * step) / 2
        for number, box in enumerate(column):
            box.x, box.y = x, y + number * step + (step - _ROW) / 2
        x += max((box.width for box in column), default=0) + _GAP
    return max(x - _GAP + _MARGIN, 700), _TOP + tallest * _ROW + _MARGIN


def _render(report: Report, boxes: Sequence[_Box], width: float, height: float) -> str:
    title = f"{report.subject} on {report.policy}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        *_render_legend(),
    ]
    # What fails comes last, so that it lies above the rest.
    edges = sorted(
        ((box, other, fails) for box in boxes for other, fails in box.needs.items()), key=lambda edge: edge[2]
    )
    lines += [_render_edge(*edge) for edge in edges]
    lines += [_render_box(box) for box in boxes]
    return "\n".join([*lines, "</svg>", ""])


def _render_legend() -> list[str]:
    lines = []
    x = float(_MARGIN)
    for colour, words in _LEGEND.items():
        fill, frame = _COLOURS[colour]
        lines.append(f'<rect x="{x:.0f}" y="34" width="14" height="12" rx="3" fill="{fill}" stroke="{frame}"/>')
        lines.append(f'<text x="{x + 19:.0f}" y="44" fill="#444444">{escape(words)}</text>')
        x += 19 + len(words) * _CHARACTER + 16
    return lines


def _render_edge(box: _Box, other: _Box, fails: bool) -> str:
    x1, y1, x2, y2 = box.x + box.width, box.y + _HEIGHT / 2, other.x, other.y + _HEIGHT / 2
    bend = max(abs(x2 - x1) * 0.4, 40)
    look = 'stroke="#cc2b2b" stroke-width="1.6"' if fails else 'stroke="#a3a8b0" stroke-width="0.8" opacity="0.75"'
    return (
        f'<path d="M{x1:.0f} {y1:.1f} C{x1 + bend:.0f} {y1:.1f} {x2 - bend:.0f} {y2:.1f} {x2:.0f} {y2:.1f}"'
        f' fill="none" {look}/>'
    )


def _render_box(box: _Box) -> str:
    fill, frame = _COLOURS[box.colour]
    text = "#ffffff" if box.colour == "missing" else "#1f2328"
    return (
        f'<g><title>{escape(box.title)}</title><rect x="{box.x:.0f}" y="{box.y:.1f}" width="{box.width:.0f}"'
        f' height="{_HEIGHT}" rx="4" fill="{fill}" stroke="{frame}"/>'
        f'<text x="{box.x + 7:.0f}" y="{box.y + 13.5:.1f}" fill="{text}">{escape(box.label)}</text></g>'
    )
