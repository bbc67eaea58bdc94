"""The picture: sound XML, every file named, what is missing in red."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import bundle

from incamera.abi.audit import audit
from incamera.abi.graph import draw_graph
from incamera.abi.policy import load_policy
from incamera.abi.subject import open_subject

SVG = "{http://www.w3.org/2000/svg}"
RED = "#cc2b2b"


def draw(root: Path) -> ElementTree.Element:
    with open_subject(root) as subject:
        return ElementTree.fromstring(draw_graph(*audit(subject, load_policy("axis-os-10-armv7hf"))))


def boxes(picture: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """Return the boxes by what is written in them."""
    return {box.findtext(f"{SVG}text") or "": box for box in picture.iter(f"{SVG}g")}


def fill(box: ElementTree.Element) -> str | None:
    rect = box.find(f"{SVG}rect")
    return rect.get("fill") if rect is not None else None


def test_who_needs_whom(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "lib/libinner.so.1": make_elf(soname="libinner.so.1", needed=["libnowhere.so.1"]),
        "app/libx.so": make_elf(needed=["libinner.so.1", "libglib-2.0.so.0"]),
        "app/<&>.so": make_elf(stack=7),
    }
    picture = draw(bundle(tmp_path, files))
    found = boxes(picture)
    assert {"app/libx.so", "libinner.so.1", "libnowhere.so.1", "libglib-2.0.so.0", "app/<&>.so"} <= set(found)
    assert fill(found["libnowhere.so.1"]) == RED
    assert fill(found["libinner.so.1"]) != fill(found["app/libx.so"])
    title = found["libinner.so.1"].findtext(f"{SVG}title") or ""
    assert "lib/libinner.so.1" in title
    assert "missing-library: needs libnowhere.so.1" in title
    red_lines = [path for path in picture.iter(f"{SVG}path") if path.get("stroke") == RED]
    assert len(red_lines) == 1
    assert "libc.so.6" not in found, "lines that all have would say nothing"


def test_many_files_of_a_folder_share_a_box(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"app/fast/x{number}.so": make_elf() for number in range(9)}
    found = boxes(draw(bundle(tmp_path, files)))
    title = found["app/fast/ (9 files)"].findtext(f"{SVG}title") or ""
    assert "x0.so" in title
    assert "x8.so" in title


def test_boxes_do_not_lie_on_each_other(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        f"app/{number}/x.so": make_elf(needed=["liba.so.1", "libb.so.1"]) for number in range(200)
    }
    files["lib/liba.so.1"] = make_elf(soname="liba.so.1", needed=["libb.so.1"])
    files["lib/libb.so.1"] = make_elf(soname="libb.so.1", needed=["liba.so.1"])
    picture = draw(bundle(tmp_path, files))
    places = []
    for box in picture.iter(f"{SVG}g"):
        rect = box.find(f"{SVG}rect")
        assert rect is not None
        places.append([float(rect.get(name, "")) for name in ("x", "y", "width", "height")])
    assert len(places) > 200
    for number, (x, y, width, height) in enumerate(places):
        assert x >= 0
        assert x + width <= float(picture.get("width", ""))
        assert y + height <= float(picture.get("height", ""))
        for x2, y2, width2, height2 in places[:number]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
