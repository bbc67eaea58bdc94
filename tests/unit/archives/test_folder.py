"""A folder from elsewhere is read without leaving it, and without waiting for a FIFO or a device."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.unit.abi import trees
from tests.unit.abi.elf_maker import make_elf

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report
from incamera.abi.policy import load_policy
from incamera.archives import BadArchive, FolderReader, list_folder, open_inside, open_regular, read_inside
from incamera.errors import UsageError

POLICY = load_policy("axis-os-11-armv7hf")
# Each file that an audit reads by its own name, in the folder that makes it do so.
READ_BY_NAME = ["manifest.json", "package.conf", "etc/launcher", "etc/libraries.json", "app/app.py", "lib/libown.so"]
TARGETS = ["/dev/zero", "/dev/stdin", "/proc/kmsg", "/proc/self/environ", "/etc/passwd", "fifo"]


def audit(path: Path) -> Report:
    return audit_path(path, POLICY)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", READ_BY_NAME)
def test_links_to_the_outside_are_not_followed(tmp_path: Path, name: str, target: str) -> None:
    root = trees.bundle(tmp_path / "own", {"app/app.py": b"", "etc/libraries.json": b"{}", "lib/libown.so": make_elf()})
    os.mkfifo(root / "fifo")
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(target if target != "fifo" else root / "fifo")
    audit(root)  # it ends
    with pytest.raises((BadArchive, OSError)):
        open_inside(root, name)


@pytest.mark.parametrize("name", READ_BY_NAME)
def test_fifos_and_links_in_the_way_are_not_read(tmp_path: Path, name: str) -> None:
    root = trees.bundle(tmp_path / "own", {"app/app.py": b"", "etc/libraries.json": b"{}", "lib/libown.so": make_elf()})
    (root / name).unlink(missing_ok=True)
    os.mkfifo(root / name)
    audit(root)
    with pytest.raises(BadArchive, match="not a file"):
        open_inside(root, name)


def test_link_in_the_middle_of_a_path_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/launcher").write_text("program x\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/etc").symlink_to(tmp_path / "outside")
    for path in ("etc/launcher", "../outside/launcher", "./etc", "etc//launcher", ""):
        with pytest.raises((BadArchive, OSError)):
            read_inside(tmp_path / "own", path, limit=100)
    assert list_folder(tmp_path / "own").links == {"etc": str(tmp_path / "outside")}
    (tmp_path / "way").symlink_to("own")  # the folder itself is the user's own choice
    (tmp_path / "own/file").write_text("x")
    assert read_inside(tmp_path / "way", "file", limit=1) == b"x"


def test_long_and_endless_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(bytes(101))
    with pytest.raises(BadArchive, match="longer than 100 bytes"):
        read_inside(tmp_path, "long", limit=100)
    assert read_inside(Path("/proc"), "self/environ".replace("self", str(os.getpid())), limit=100) == b""
    huge = tmp_path / "own" / "manifest.json"
    huge.parent.mkdir()
    with huge.open("wb") as stream:
        stream.truncate(1 << 40)
    audit(huge.parent)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_device_is_not_audited(path: str) -> None:
    with pytest.raises(UsageError, match="not a file"):
        audit(Path(path))


def test_fifo_is_not_audited(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "libx.so")
    with pytest.raises(UsageError, match="not a file"):
        audit(tmp_path / "libx.so")
    with pytest.raises(BadArchive):
        open_regular(tmp_path / "libx.so")


@pytest.mark.parametrize("name", ["manifest.json", "etc/libraries.json"])
def test_deeply_nested_json_is_ignored(tmp_path: Path, name: str) -> None:
    root = trees.bundle(tmp_path / "own", {name: b"[" * 100_000})
    audit(root)
    (root / name).write_text(json.dumps({"a": 1, "b": [], "libc.so.6": None}))
    audit(root)


def test_unreadable_folder_is_a_malformed_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own/deep").mkdir(parents=True)
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = audit(tmp_path / "own")
    assert [(one.kind, one.file, one.provides) for one in report.errors] == [
        (Kind.malformed, "deep", "Permission denied")
    ]


def test_folder_nested_deeper_than_the_interpreter_can_recurse_is_read(tmp_path: Path) -> None:
    depth = 1100
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        audit(tmp_path)
    finally:  # pytest would recurse
        for level in range(depth, 0, -1):
            (tmp_path / ("d/" * level)).rmdir()


def test_reader_of_many_files_stays_inside_after_each_of_them(tmp_path: Path) -> None:
    for folder in ("one", "one/two", "three"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text(folder)
    (tmp_path / "link").symlink_to("one")
    (tmp_path / "one" / "link").symlink_to("file")
    with FolderReader(tmp_path) as reader:
        for folder in ("one", "one", "one/two", "three", "one"):
            with reader.open(f"{folder}/file") as stream:
                assert stream.read() == folder.encode()
            for name in ("link/file", "one/link", "one/../three/file", "one/absent", "one//file", "one/two"):
                with pytest.raises((OSError, BadArchive)):
                    reader.open(name)
