"""Which file needs which library, as Graphviz DOT or as an HTML page with tables."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from incamera.abi.findings import Finding, Severity
from incamera.abi.loader_rule import LIBC_FAMILY
from incamera.units import format_count, printable

if TYPE_CHECKING:
    from incamera.abi.findings import Report
    from incamera.abi.objects import Object
    from incamera.abi.simulation import Simulation

_MAX_LABEL_CHARS = 46
# The compiler's libraries. Like those of glibc, nearly every file needs them, so an edge to them would say nothing.
_COMPILERS = re.compile(r"lib(?:gcc_s|stdc\+\+)\.so\.\d+")


class _Kind(NamedTuple):
    """How a node of a kind looks in the graph, and what the kind is called."""

    fill: str
    frame: str
    meaning: str
    text: str = "#1f2328"


_KINDS = {
    "file": _Kind("#ffffff", "#8a8f98", "module or program"),
    "library": _Kind("#e8f1fb", "#5b8fc7", "library of the bundle or file"),
    "camera": _Kind("#e9f6ea", "#5fa463", "library of the camera"),
    "warning": _Kind("#fff6dd", "#c9962a", "file with a warning"),
    "error": _Kind("#fde7e7", "#cc2b2b", "file that cannot work"),
    "missing": _Kind("#cc2b2b", "#8f1414", "missing library", "#ffffff"),
}
_FAILS = "#cc2b2b"
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font-family: sans-serif; margin: 2em }}
table {{ border-collapse: collapse; margin-block: 1em 2em }}
caption {{ text-align: start; font-weight: bold; padding-block: .5em }}
th, td {{ border: 1px solid gray; padding: .3em .6em; text-align: start; vertical-align: top; overflow-wrap: anywhere }}
ul {{ margin: 0; padding-inline-start: 1.2em }}
</style>
</head>
<body>
<h1>Which file needs which library</h1>
{body}
</body>
</html>
"""


@dataclass(slots=True, eq=False)
class _Node:
    """One file, or several files of a folder that need the same. `kind` is a key of `_KINDS`."""

    label: str
    kind: str
    files: Sequence[str]
    findings: Sequence[Finding] = ()
    needs: dict[_Node, bool] = field(default_factory=dict)
    """The nodes that this one needs, each with whether that fails."""


def render_dot(judged: Iterable[tuple[Report, Simulation]]) -> str:
    """Return a DOT graph of the reports, each a cluster: an arrow leads from a file to what it needs.

    A library that nearly all files need is left out unless something is wrong with it.
    """
    lines = [
        "digraph needs {",
        "  rankdir=LR",
        '  graph [fontname="Helvetica,Arial,sans-serif", fontsize=14, labelloc=t, labeljust=l]',
        '  node [fontname="Helvetica,Arial,sans-serif", fontsize=11, height=0.25, shape=box, style="rounded,filled"]',
        '  edge [color="#a3a8b0", arrowsize=0.6]',
        *_render_legend(),
    ]
    for number, (report, simulation) in enumerate(judged):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_quote(_title(report))}")
        lines += _render_nodes(_make_nodes(report, simulation), f"n{number}_")
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _render_legend() -> Iterator[str]:
    yield "  subgraph cluster_legend {"
    yield '    label="Legend"'
    for kind, look in _KINDS.items():
        yield f"    legend_{kind} [label={_quote(look.meaning)}, {_colours(kind)}]"
    yield "  }"


def _render_nodes(nodes: Sequence[_Node], prefix: str) -> Iterator[str]:
    names = {node: f"{prefix}{number}" for number, node in enumerate(nodes)}
    for node in nodes:
        tooltip = "\n".join([*node.files, *map(_describe, node.findings)])
        yield f"    {names[node]} [label={_quote(node.label)}, tooltip={_quote(tooltip)}, {_colours(node.kind)}]"
    for node in nodes:
        for other, fails in node.needs.items():
            look = f' [color="{_FAILS}", penwidth=1.6]' if fails else ""
            yield f"    {names[node]} -> {names[other]}{look}"


def _colours(kind: str) -> str:
    look = _KINDS[kind]
    return f'fillcolor="{look.fill}", color="{look.frame}", fontcolor="{look.text}"'


def _quote(text: str) -> str:
    """Return *text* as a DOT string. Graphviz reads backslashes and HTML's character references in labels."""
    for character, replacement in (("\\", "\\\\"), ('"', '\\"'), ("&", "&amp;"), ("\n", "\\n")):
        text = text.replace(character, replacement)
    return f'"{printable(text)}"'


def render_html(judged: Sequence[tuple[Report, Simulation]]) -> str:
    """Return a page with two tables for each report: its findings, and the files with what they need."""
    title = ", ".join(dict.fromkeys(_title(report) for report, _ in judged))
    body: list[str] = []
    for number, (report, simulation) in enumerate(judged):
        body += _render_report(report, _make_nodes(report, simulation), f"n{number}-")
    return _PAGE.format(title=_escape(title), body="\n".join(body))


def _render_report(report: Report, nodes: Sequence[_Node], prefix: str) -> Iterator[str]:
    verdict = "It can work" if report.compatible else "It cannot work"
    found, files = format_count(len(report.findings), "finding"), format_count(report.files, "file")
    yield f"<h2>{_escape(_title(report))}</h2>"
    yield f"<p>{verdict}: {found} in {files}.</p>"
    if report.findings:
        columns = ["File", "Severity", "Kind", "Needs", "There is", "Remedy"]
        rows = [[one.file, one.severity, one.kind, one.needs, one.provides, one.remedy] for one in report.findings]
        yield from _render_table("Findings", columns, [("", *map(_escape, row)) for row in rows])
    names = {node: f"{prefix}{number}" for number, node in enumerate(nodes)}

    def link(node: _Node, fails: bool) -> str:
        return _list(
            f'<a href="#{names[one]}">{_escape(one.label)}</a>' for one, bad in node.needs.items() if bad == fails
        )

    yield from _render_table(
        "Files, and what they need",
        ["Name", "What it is", "Path", "Needs", "Needs, but cannot use"],
        [
            (
                names[node],
                _escape(node.label),
                _KINDS[node.kind].meaning,
                _list(map(_escape, node.files)),
                link(node, False),
                link(node, True),
            )
            for node in nodes
        ],
    )


def _render_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table. A row has its id, or an empty text, and then its cells as HTML."""
    yield f"<table>\n<caption>{caption}</caption>\n<thead>\n<tr>"
    yield from (f'<th scope="col">{name}</th>' for name in columns)
    yield "</tr>\n</thead>\n<tbody>"
    for name, head, *cells in rows:
        yield f'<tr id="{name}">' if name else "<tr>"
        yield f'<th scope="row">{head}</th>'
        yield from (f"<td>{cell}</td>" for cell in cells)
        yield "</tr>"
    yield "</tbody>\n</table>"


def _list(items: Iterable[str]) -> str:
    entries = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{entries}</ul>" if entries else ""


def _escape(text: str) -> str:
    return escape(printable(text))


def _title(report: Report) -> str:
    return f"{report.subject} on {report.policy}"


def _describe(finding: Finding) -> str:
    return f"{finding.kind}: needs {finding.needs}, there is {finding.provides}"


def _make_nodes(report: Report, simulation: Simulation) -> list[_Node]:
    findings: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        findings[finding.file].append(finding)
    found: dict[Object, dict[str, Object | None]] = {}
    for loaded in simulation.loads:
        for item in loaded.load.objects:
            found.setdefault(item, {})
        for (item, name), other in loaded.load.found.items():
            found[item].setdefault(name, other)
    # Files of the camera and of the bare runtime are shown only if a shown file needs them.
    needed = {other for item, needs in found.items() if item.ours or not _is_common(item) for other in needs.values()}
    objects = [item for item in found if item.ours or item in needed]
    shown = [item for item in objects if not _is_common(item) or item.path in findings]
    by_object = _group(shown, found, findings)
    missing: dict[str, _Node] = {}
    for item in shown:
        node = by_object[item]
        for name, other in found[item].items():
            if other is None:
                target = missing.setdefault(name, _Node(name, "missing", [f"{name}: not found anywhere"]))
                node.needs[target] = True
            elif other in by_object and by_object[other] is not node:
                target = by_object[other]
                broken = any(
                    other.path in finding.provides or name in finding.provides for finding in findings[item.path]
                )
                node.needs[target] = node.needs.get(target, False) or (broken and node.kind == "error")
    alone = [
        _Node(_shorten(file), _worst(own), [file], own)
        for file, own in findings.items()
        if file not in {item.path for item in shown}
    ]
    return [*dict.fromkeys(by_object.values()), *missing.values(), *alone]


def _is_common(item: Object) -> bool:
    return LIBC_FAMILY.fullmatch(item.name) is not None or _COMPILERS.fullmatch(item.name) is not None


def _group(
    objects: Sequence[Object],
    found: Mapping[Object, Mapping[str, Object | None]],
    findings: Mapping[str, Sequence[Finding]],
) -> dict[Object, _Node]:
    """Return the node of each file. Modules of a folder that need the same, and are without findings, share one."""
    needed = {other for needs in found.values() for other in needs.values()}
    groups: dict[tuple[object, ...], list[Object]] = defaultdict(list)
    for item in objects:
        alone = item in needed or item.path in findings or not item.ours
        needs = frozenset(name for name, other in found[item].items() if other is None or not _is_common(other))
        groups[(item,) if alone else (item.folder, needs)].append(item)
    nodes: dict[Object, _Node] = {}
    for members in groups.values():
        first = members[0]
        if len(members) > 1:
            label = f"{first.folder or '.'}/ ({format_count(len(members), 'file')})"
            node = _Node(_shorten(label), "file", [item.path for item in members])
        else:
            own = findings.get(first.path, ())
            kind = "camera" if first.camera else "library" if first in needed else "file"
            node = _Node(_shorten(_label(first)), _worst(own) if own else kind, [first.path], own)
        nodes |= dict.fromkeys(members, node)
    return nodes


def _label(item: Object) -> str:
    if item.camera or item.folder in ("", "lib") or item.folder.endswith(".libs"):
        return item.name
    return f"{item.folder.rpartition('/')[2]}/{item.name}"


def _shorten(text: str) -> str:
    """Return the path *text* for a node: cut to `_MAX_LABEL_CHARS`, without the parts that nearly all paths have."""
    stem, tag, _ = text.removeprefix("lib/python3/dist-packages/").partition(".cpython-")
    short = f"{stem}.so" if tag else stem
    return short if len(short) <= _MAX_LABEL_CHARS else "…" + short[1 - _MAX_LABEL_CHARS :]


def _worst(findings: Iterable[Finding]) -> str:
    return "error" if any(finding.severity is Severity.error for finding in findings) else "warning"
