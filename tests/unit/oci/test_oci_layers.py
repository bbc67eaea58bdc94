"""Layers on top of each other: what the last one removes is gone, and nothing leads or is written outside."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.container_images import make_layer
from tests.unit.archives.hostile import header, member, tar, zstd_stream

from incamera.archives import BadArchive, TooLarge
from incamera.oci import layers
from incamera.oci.layers import Folder, Unpacker, write_tree

Files = Mapping[str, bytes | str | None]
TOP = "opt/sdk"


def unpack(tmp_path: Path, *stack: bytes) -> dict[str, bytes | str]:
    """Return the files and links below TOP that the layers in *stack* make, as they are on the disk."""
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    unpacker, image = Unpacker(scratch, TOP, lambda path: not path.startswith(f"{TOP}/host/")), Folder()
    for layer in stack:
        unpacker.read(io.BytesIO(layer), len(layer)).apply(image)
    top = image.find(TOP)
    if isinstance(top, Folder):
        write_tree(top, out, TOP)
    return {
        path.relative_to(out).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def stacked(tmp_path: Path, *stack: Files) -> dict[str, bytes | str]:
    return unpack(tmp_path, *(make_layer(layer) for layer in stack))


def test_upper_layer_adds_and_replaces_files(tmp_path: Path) -> None:
    lower: Files = {"opt/sdk/a": b"old", "opt/sdk/b/c": b"c", "etc/passwd": b"no"}
    assert stacked(tmp_path, lower, {"opt/sdk/a": b"new", "./opt/sdk/b/d": b"d", "/opt/sdk/e": b"e"}) == {
        "a": b"new",
        "b/c": b"c",
        "b/d": b"d",
        "e": b"e",
    }


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ({"opt/sdk/lib/.wh.one": b""}, {"lib/two", "top"}),
        ({"opt/sdk/.wh.lib": b""}, {"top"}),
        ({"opt/.wh.sdk": b""}, set()),
        ({".wh.opt": b""}, set()),
        ({"opt/sdk/lib/.wh..wh..opq": b""}, {"top"}),
        ({"opt/.wh..wh..opq": b""}, set()),
        ({".wh..wh..opq": b""}, set()),
        ({"opt/sdk/lib/.wh.three": b"", "opt/other/.wh.lib": b""}, {"lib/one", "lib/two", "top"}),
        ({"opt/sdk/.wh..wh.plnk": b"", "opt/sdk/.wh..wh.orph": None}, {"lib/one", "lib/two", "top"}),
        ({"opt/sdk/lib": b"now a file"}, {"lib", "top"}),
        ({"opt/sdk/lib": "elsewhere"}, {"lib", "top"}),
        ({"opt/sdk": "elsewhere"}, set()),
        ({"opt": b"now a file"}, set()),
        # Only what lies below is removed, wherever it stands in the archive.
        ({"opt/sdk/lib/new": b"", "opt/sdk/lib/.wh..wh..opq": b""}, {"lib/new", "top"}),
        ({"opt/sdk/lib/one": b"", "opt/sdk/lib/.wh.one": b""}, {"lib/one", "lib/two", "top"}),
    ],
)
def test_layer_removes_what_lies_below_it(tmp_path: Path, upper: Files, left: set[str]) -> None:
    lower: Files = {"opt/sdk/lib/one": b"1", "opt/sdk/lib/two": b"2", "opt/sdk/top": b"t"}
    assert set(stacked(tmp_path, lower, upper)) == left


def test_removed_folder_that_comes_back_has_only_its_new_files(tmp_path: Path) -> None:
    stack: tuple[Files, ...] = ({"opt/sdk/lib/old": b"1"}, {"opt/sdk/.wh.lib": b""}, {"opt/sdk/lib/new": b"2"})
    assert set(stacked(tmp_path, *stack)) == {"lib/new"}


def test_hard_link_keeps_the_content_of_a_file_that_is_removed(tmp_path: Path) -> None:
    first: Files = {"opt/sdk/a": b"content", "opt/sdk/b": "=opt/sdk/a", "opt/sdk/c": "=opt/sdk/b"}
    second: Files = {"opt/sdk/.wh.a": b"", "opt/sdk/d": "=opt/sdk/b", "opt/sdk/e": "=opt/sdk/a"}
    assert stacked(tmp_path, first, second) == dict.fromkeys("bcde", b"content")


def test_hard_link_to_a_file_that_is_not_there_is_damage(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="hard link to opt/sdk/lost"):
        stacked(tmp_path, {"opt/sdk/a": "=opt/sdk/lost"})


@pytest.mark.parametrize(
    ("target", "becomes"),
    [
        ("one.so.1", "one.so.1"),
        ("../lib/one.so.1", "one.so.1"),
        ("/lib/one.so.1", "one.so.1"),
        ("/usr/x", "../usr/x"),
        ("/opt/sdk/usr/x", "../usr/x"),
        ("../../sdk/usr/x", "../usr/x"),
        ("/", ".."),
        ("/../../etc/passwd", "../etc/passwd"),
        ("../../../etc/passwd", None),
        ("../../sdkx/y", None),
        ("../" * 30, None),
    ],
)
def test_link_leads_to_a_file_inside_or_is_left_out(tmp_path: Path, target: str, becomes: str | None) -> None:
    found = stacked(tmp_path, {"opt/sdk/lib/link": target, "opt/sdk/lib/one.so.1": b""})
    assert found.get("lib/link") == becomes


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    lower: Files = {"opt/sdk/lib": str(outside)}
    assert stacked(tmp_path, lower, {"opt/sdk/lib/a": b"x"}) == {"lib/a": b"x"}
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd_stream])
def test_layers_are_packed_with_gzip_or_zstd_or_not_at_all(tmp_path: Path, pack: type[bytes]) -> None:
    assert unpack(tmp_path, pack(make_layer({"opt/sdk/a": b"x" * 5000}))) == {"a": b"x" * 5000}


def test_what_is_not_wanted_is_not_kept_on_the_disk(tmp_path: Path) -> None:
    files: Files = {"opt/sdk/host/program": bytes(5000), "usr/bin/sh": bytes(5000), "opt/sdk/a": b"x"}
    assert stacked(tmp_path, files) == {"a": b"x"}
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        lambda number: f"opt/sdk/{number}",
        lambda number: f"opt/sdk/.wh.{number}",
        lambda number: f"opt/sdk/{number % 7}/.wh..wh..opq",
        # Each has folders of its own that no member is.
        lambda number: f"opt/sdk/{number}/" + "d/" * 40 + "e",
        lambda number: f"opt/sdk/{number}/" + "d/" * 40 + ".wh.e",
    ],
)
def test_what_is_kept_is_limited_in_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Callable[[int], str]
) -> None:
    monkeypatch.setattr(layers, "_KEPT_FILES", 500)
    data = tar(*(member(name(number).encode()) for number in range(600 if len(name(0)) < 60 else 20)))
    with pytest.raises(TooLarge, match="more than 500 files"):
        unpack(tmp_path, data)


def test_many_files_elsewhere_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_KEPT_FILES", 500)
    data = tar(*(member(f"usr/{number}".encode()) for number in range(600)), member(b"opt/sdk/a", b"x"))
    assert unpack(tmp_path, data) == {"a": b"x"}


@pytest.mark.parametrize(
    "layer",
    [
        tar(member(b"opt/sdk/../../x")),
        tar(member(b"../opt/sdk/x")),
        tar(member(b"opt/sdk/.wh...")),
        tar(member(b"opt/sdk/.wh..")),
        tar(member(b"opt/sdk/.wh.")),
        tar(header(b"opt/sdk/x", kind=b"1", link=b"../../etc/passwd")),
        tar(member(b"opt/sdk/x"))[:700],
        b"no archive",
        b"",
    ],
)
def test_damaged_layer_is_refused(tmp_path: Path, layer: bytes) -> None:
    with pytest.raises(BadArchive):
        unpack(tmp_path, layer)
    assert list((tmp_path / "out").iterdir()) == []


def test_devices_are_left_out(tmp_path: Path) -> None:
    assert unpack(tmp_path, tar(header(b"opt/sdk/null", kind=b"3"), member(b"opt/sdk/a"))) == {"a": b"x"}
