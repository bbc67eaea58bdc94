"""The graph of needs, as DOT and as a page: each file is named, and names from strangers cannot break the syntax."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import bundle

from incamera.abi.audit import audit
from incamera.abi.graph import render_dot, render_html
from incamera.abi.policy import load_policy
from incamera.abi.subject import open_subject

if TYPE_CHECKING:
    from incamera.abi.findings import Report
    from incamera.abi.simulation import Simulation

NODE = re.compile(
    r'^    (n\d+_\d+) \[label="((?:[^"\\]|\\.)*)", tooltip="((?:[^"\\]|\\.)*)", fillcolor="(#\w+)", .*\]$', re.M
)
EDGE = re.compile(r"^    (n\d+_\d+) -> (n\d+_\d+)(.*)$", re.M)
RED = "#cc2b2b"
HOSTILE = 'a"]; x [label="&lt;b>\\'


def judge(root: Path) -> tuple[Report, Simulation]:
    with open_subject(root) as subject:
        return audit(subject, load_policy("axis-os-10-armv7hf"))


def needy(root: Path) -> Path:
    """A bundle in which a module needs a library, which needs one that is missing."""
    return bundle(
        root,
        {
            "lib/libinner.so.1": make_elf(soname="libinner.so.1", needed=["libnowhere.so.1"]),
            "app/libx.so": make_elf(needed=["libinner.so.1", "libglib-2.0.so.0"]),
        },
    )


def unquote(text: str) -> str:
    """Return what Graphviz shows for a label."""
    return text.replace('\\"', '"').replace("\\\\", "\\").replace("&amp;", "&")


class Page(HTMLParser):
    """Collects a page's tags, and the cells of its rows by the text of the row's header."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.names: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attributes}
        self.links += [values["href"]] if "href" in values else []
        self.names += [values["id"]] if "id" in values else []
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")

    def row(self, name: str) -> list[str]:
        return next(row for row in reversed(self.rows) if row[0] == name)


def test_dot_draws_an_edge_from_each_file_to_what_it_needs(tmp_path: Path) -> None:
    text = render_dot([judge(needy(tmp_path))])
    nodes = {unquote(label): (name, tooltip, fill) for name, label, tooltip, fill in NODE.findall(text)}
    edges = {(start, end): look for start, end, look in EDGE.findall(text)}
    assert {"app/libx.so", "libinner.so.1", "libnowhere.so.1", "libglib-2.0.so.0"} <= set(nodes)
    assert (nodes["app/libx.so"][0], nodes["libinner.so.1"][0]) in edges
    assert nodes["libnowhere.so.1"][2] == RED
    assert nodes["libinner.so.1"][2] != nodes["app/libx.so"][2]
    assert nodes["libinner.so.1"][1].startswith(r"lib/libinner.so.1\nmissing-library: needs libnowhere.so.1")
    failing = [pair for pair, look in edges.items() if RED in look]
    assert failing == [(nodes["libinner.so.1"][0], nodes["libnowhere.so.1"][0])]


def test_what_nearly_all_files_need_is_left_out(tmp_path: Path) -> None:
    assert '"libc.so.6"' not in render_dot([judge(needy(tmp_path))])


def test_dot_quotes_names(tmp_path: Path) -> None:
    text = render_dot(
        [judge(bundle(tmp_path, {f"app/{HOSTILE}.so": make_elf(stack=7), "app/line\nend.so": make_elf()}))]
    )
    labels = {unquote(label) for _, label, _, _ in NODE.findall(text)}
    assert f"app/{HOSTILE}.so" in labels
    body = text.partition("subgraph cluster_0")[2].splitlines()[2:-3]
    assert all(NODE.fullmatch(line) or EDGE.fullmatch(line) for line in body), body


def test_files_of_a_folder_that_need_the_same_share_a_node(tmp_path: Path) -> None:
    judged = judge(bundle(tmp_path, {f"app/fast/x{number}.so": make_elf() for number in range(9)}))
    tooltip = next(tooltip for _, label, tooltip, _ in NODE.findall(render_dot([judged])) if "fast" in label)
    assert tooltip.split(r"\n") == [f"app/fast/x{number}.so" for number in range(9)]
    assert "app/fast/x8.so" in Page(render_html([judged])).row("app/fast/ (9 files)")[2]


def test_page_names_what_each_file_needs(tmp_path: Path) -> None:
    page = Page(render_html([judge(needy(tmp_path))]))
    assert page.row("app/libx.so")[1:3] == ["module or program", "app/libx.so"]
    assert "libinner.so.1" in page.row("app/libx.so")[3]
    assert page.row("libinner.so.1")[1:] == ["file that cannot work", "lib/libinner.so.1", "", "libnowhere.so.1"]
    assert page.row("libnowhere.so.1")[1] == "missing library"
    finding = next(row for row in page.rows if row[0] == "lib/libinner.so.1")
    assert finding[1:4] == ["error", "missing-library", "libnowhere.so.1"]


def test_page_is_accessible_and_loads_nothing(tmp_path: Path) -> None:
    text = render_html([judge(needy(tmp_path))])
    page = Page(text)
    assert '<html lang="en">' in text
    assert page.tags.count("caption") == page.tags.count("table") == 2
    assert text.count('<th scope="row">') == len(page.rows) - 2
    assert {link.removeprefix("#") for link in page.links} <= set(page.names)
    assert page.links
    assert not {"script", "img", "link", "iframe"} & set(page.tags)


def test_page_escapes_names(tmp_path: Path) -> None:
    name = "app/<script>&amp;\x1b.so"
    page = Page(render_html([judge(bundle(tmp_path, {name: make_elf(stack=7)}))]))
    assert "script" not in page.tags
    assert page.row(name.replace("\x1b", "\N{REPLACEMENT CHARACTER}"))


def test_each_report_has_a_part_of_its_own(tmp_path: Path) -> None:
    judged = [judge(needy(tmp_path / name)) for name in ("one", "two")]
    dot, page = render_dot(judged), Page(render_html(judged))
    assert {name.partition("_")[0] for name, *_ in NODE.findall(dot)} == {"n0", "n1"}
    assert len(page.names) == len(set(page.names))
