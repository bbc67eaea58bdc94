"""Images in folders and files: found by their names, and with the digests that they must have."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from tests.container_images import (
    digest_of,
    image_of,
    layout_files,
    make_layer,
    saved_files,
    write_archive,
    write_files,
)
from tests.unit.archives.hostile import zstd_stream

from incamera.archives import BadArchive, PackedStream, TarReader
from incamera.errors import ConfigError
from incamera.image_name import parse_image_name
from incamera.oci.archive import Files, FolderFiles, StoredImage, TarFiles, find_image

BASE = make_layer({"base": b"b" * 3000})
ONE, TWO = image_of(BASE, make_layer({"one": b"1"})), image_of(BASE, make_layer({"two": b"2"}))
IMAGES = {"vendor/sdk:1.0": ONE, "docker.io/vendor/sdk:2.0": TWO}
FIRST, SECOND = parse_image_name("vendor/sdk:1.0"), parse_image_name("vendor/sdk:2.0")


def top_files(files: Files, image: StoredImage) -> list[str]:
    """Return the names of the files in the last layer of *image*."""
    layer = image.layers[-1]
    stream, size = files.open(layer.path)
    with stream:
        assert size == layer.size
        return [member.name for member in TarReader(PackedStream(stream, size=size))]


@pytest.mark.parametrize("form", ["folder", "archive", "gzip", "zstd", "saved"])
def test_image_is_found_by_its_name_in_each_form(tmp_path: Path, form: str) -> None:
    files: Files
    if form == "folder":
        files = FolderFiles(write_files(tmp_path / "layout", layout_files(IMAGES)))
    else:
        path = write_archive(tmp_path / "image.tar", saved_files(IMAGES) if form == "saved" else layout_files(IMAGES))
        if form in ("gzip", "zstd"):
            path.write_bytes((gzip.compress if form == "gzip" else zstd_stream)(path.read_bytes()))
        files = TarFiles(path, tmp_path / "scratch")
    first, second = find_image(files, FIRST), find_image(files, SECOND)
    assert top_files(files, first) == ["one"]
    assert top_files(files, second) == ["two"]
    assert f"sha256:{first.digest}" == digest_of(ONE.config if form == "saved" else ONE.manifest)
    with pytest.raises(ConfigError, match="several images") as caught:
        find_image(files, parse_image_name("vendor/other:1.0"))
    assert "vendor/sdk:1.0" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["1.0", "", "vendor/sdk:1.0", "other/name:x"])
def test_only_image_is_taken_whatever_else_it_is_called(tmp_path: Path, name: str) -> None:
    files = FolderFiles(write_files(tmp_path, layout_files({name: ONE})))
    assert top_files(files, find_image(files, FIRST)) == ["one"]


@pytest.mark.parametrize("form", ["layout", "saved"])
def test_only_image_that_says_another_tag_is_refused(tmp_path: Path, form: str) -> None:
    files = (saved_files if form == "saved" else layout_files)({"docker.io/vendor/sdk:1.0": ONE})
    path = write_archive(tmp_path / "image.tar", files)
    with pytest.raises(ConfigError, match=r"the image in it is docker.io/vendor/sdk:1.0, and not vendor/sdk:2.0"):
        find_image(TarFiles(path, tmp_path / "scratch"), SECOND)


def test_digest_in_the_name_must_be_the_images(tmp_path: Path) -> None:
    files = FolderFiles(write_files(tmp_path, layout_files({"x": ONE})))
    assert find_image(files, parse_image_name(f"vendor/sdk@{digest_of(ONE.manifest)}")).layers
    with pytest.raises(BadArchive, match="its digest is"):
        find_image(files, parse_image_name(f"vendor/sdk@{digest_of(TWO.manifest)}"))


LAYOUT = layout_files({"x": ONE})
SAVED = saved_files({"x": ONE})
UNUSED = [digest_of(data).removeprefix("sha256:") for data in (ONE.index, ONE.config)]


@pytest.mark.parametrize(
    "path", [path for path in LAYOUT if path != "oci-layout" and path.partition("sha256/")[2] not in UNUSED]
)
@pytest.mark.parametrize("damage", ["changed", "cut", "lost"])
def test_damaged_layout_is_refused(tmp_path: Path, path: str, damage: str) -> None:
    data = LAYOUT[path]
    changed = {"changed": data[:-9] + b"x" + data[-8:], "cut": data[: len(data) // 2], "lost": b""}[damage]
    files = write_files(tmp_path, {**LAYOUT, path: changed})
    if damage == "lost":
        (files / path).unlink()
    with pytest.raises(BadArchive):
        find_image(FolderFiles(files), FIRST)


@pytest.mark.parametrize("path", list(SAVED))
def test_damaged_file_of_docker_save_is_refused(tmp_path: Path, path: str) -> None:
    data = SAVED[path]
    assert isinstance(data, bytes)
    files = TarFiles(write_archive(tmp_path / "a.tar", {**SAVED, path: data[:-9] + b"x" + data[-8:]}), tmp_path / "s")
    lost = {name: content for name, content in SAVED.items() if name != path}
    lacking = TarFiles(write_archive(tmp_path / "b.tar", lost), tmp_path / "s")
    for found in (files, lacking):
        with pytest.raises(BadArchive):
            find_image(found, FIRST)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "blobs/../../x", ""])
def test_paths_that_lead_outside_are_refused(tmp_path: Path, path: str) -> None:
    table: list[dict[str, object]] = [{"Config": path, "RepoTags": None, "Layers": []}]
    files = {"manifest.json": json.dumps(table).encode()}
    for found in (FolderFiles(write_files(tmp_path, files)), TarFiles(write_archive(tmp_path / "x", files), tmp_path)):
        with pytest.raises(BadArchive):
            find_image(found, FIRST)


def test_links_in_an_archive_lead_nowhere_else(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"index.json": "../../etc/passwd", "manifest.json": "manifest.json"}
    with pytest.raises(BadArchive):
        find_image(TarFiles(write_archive(tmp_path / "x", files), tmp_path / "s"), FIRST)


def test_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="so it is no image"):
        find_image(FolderFiles(tmp_path), FIRST)
    (tmp_path / "cut").write_bytes(make_layer({"a": b"x" * 600})[:700])
    with pytest.raises(BadArchive):
        TarFiles(tmp_path / "cut", tmp_path / "scratch")
