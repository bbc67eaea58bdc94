"""Data files of Debian's Python packages that are in /usr/share, with a link beside the modules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.debian.conftest import make_deb, make_link

from incamera.build.linked_data import unpack_linked_data
from incamera.context import Context
from incamera.debian.index import Deb
from incamera.debian.unpack import unpack_deb
from incamera.digest import Sha256
from incamera.runtime.layout import PACKAGES, plan_layout
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.store import Store


@pytest.fixture
def context(store: Store) -> Context:
    return Context(store, None, {"INCAMERA_DEBIAN_MIRROR": "http://127.0.0.1:1/debian"})  # type: ignore[arg-type]


def add_deb(context: Context, package: str, data: bytes) -> Deb:
    sha256 = Sha256.of(data)
    with context.store.writing_blob(sha256, name=package) as blob:
        blob.write(data)
    filename = f"pool/{package}_1_all.deb"
    return Deb(
        package=package,
        version="1",
        architecture="all",
        filename=filename,
        archive="main",
        size=len(data),
        sha256=sha256,
    )


def test_data_that_a_package_links_to_are_unpacked_with_what_they_link_to(context: Context, tmp_path: Path) -> None:
    modules = make_deb(
        (f"./usr/{PACKAGES}/own/__init__.py", b""), make_link(f"./usr/{PACKAGES}/own/data", "/usr/share/own/data")
    )
    data = make_deb(
        ("./usr/share/own/data/x.txt", b"text"),
        ("./usr/share/own/database", b""),
        ("./usr/share/doc/own/copyright", b""),
        make_link("./usr/share/own/data/font.ttf", "../../fonts/font.ttf"),
        make_link("./usr/share/own/data/etc", "/etc/own"),
    )
    fonts = make_deb(("./usr/share/fonts/font.ttf", b"font"), ("./usr/share/fonts/other.ttf", b""))
    debs = [
        add_deb(context, name, deb)
        for name, deb in (("python3-own", modules), ("own-data", data), ("fonts-own", fonts))
    ]
    tree = tmp_path / "tree"
    tree.mkdir()
    path = context.store.find_blob(debs[0].sha256)
    assert path is not None
    files = unpack_deb(path, tree, plan_layout(Target.parse("armv7hf")))
    unpack_linked_data(context, debs, tree, files)
    assert (tree / PACKAGES / "own/data/x.txt").read_text() == "text"
    assert (tree / PACKAGES / "own/data/font.ttf").read_text() == "font"
    found = {path.relative_to(tree).as_posix() for path in (tree / "share").rglob("*") if path.is_file()}
    assert found == {"share/own/data/x.txt", "share/own/data/font.ttf", "share/fonts/font.ttf"}
