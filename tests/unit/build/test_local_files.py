"""Folders of the user's own, packed into the store."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import pytest

from incamera.build.local import ensure_local_files, store_local
from incamera.context import Context
from incamera.errors import IntegrityError
from incamera.project.locked import Lock, LockedDistribution, LockedFile
from incamera.project.settings_parsing import parse_project
from incamera.store import Store
from incamera.targets.target import Target
from incamera.toolchain.sdist import unpack_sdist
from incamera.wheels.metadata import parse_metadata

STATIC = """
[project]
name = "lamp"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = ["bulb>=1"]
optional-dependencies.night = ["moon; sys_platform == 'linux' or os_name == 'nt'"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Store(tmp_path / "store"), None, {})  # type: ignore[arg-type]


def write(folder: Path, text: str) -> Path:
    """Write a package with *text* as its pyproject.toml into *folder*, with files that do not belong to it."""
    (folder / "src").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(text)
    (folder / "src/lamp.py").write_bytes(os.urandom(200_000) if folder.name == "large" else b"BRIGHT = 1\n")
    (folder / "src/run.sh").write_text("#!/bin/sh\n")
    (folder / "src/run.sh").chmod(0o777)
    (folder / ".venv").mkdir()
    (folder / ".venv/secret").write_text("x")
    os.mkfifo(folder / "src/pipe")
    return folder


def test_packed_folder_is_an_sdist_with_static_metadata(context: Context, tmp_path: Path) -> None:
    stored = store_local(context, "lamp", write(tmp_path / "large", STATIC))
    assert stored.filename == "lamp-1.0.0.tar.gz"
    blob = context.store.blob_path(stored.sha256)
    assert blob.stat().st_size == stored.size
    gzip.decompress(blob.read_bytes())  # with its checksum
    unpacked = unpack_sdist(blob, tmp_path / "unpacked")
    assert unpacked.name == "lamp-1.0.0"
    files = sorted(path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file())
    assert files == ["PKG-INFO", "pyproject.toml", "src/lamp.py", "src/run.sh"]
    assert (unpacked / "src/lamp.py").read_bytes() == (tmp_path / "large/src/lamp.py").read_bytes()
    assert os.access(unpacked / "src/run.sh", os.X_OK)
    metadata = parse_metadata((unpacked / "PKG-INFO").read_bytes(), "lamp")
    assert [str(item) for item in metadata.requires] == [
        "bulb>=1",
        'moon; (sys_platform == "linux" or os_name == "nt") and extra == "night"',
    ]
    assert metadata.extras == {"night"}


def test_equal_folders_give_equal_bytes(context: Context, tmp_path: Path) -> None:
    first = store_local(context, "lamp", write(tmp_path / "first", STATIC))
    other = write(tmp_path / "other", STATIC)
    os.utime(other / "src/lamp.py", (1e9, 1e9))
    (other / "src/run.sh").chmod(0o700)
    assert store_local(context, "lamp", other) == first
    (other / "src/lamp.py").write_text("BRIGHT = 2\n")
    assert store_local(context, "lamp", other).sha256 != first.sha256


@pytest.mark.parametrize(
    "text",
    [
        '[project]\nname = "lamp"\ndynamic = ["version"]\n',
        '[tool.poetry]\nname = "lamp"\nversion = "1"\n',
        "[project]\n",
    ],
)
def test_version_that_only_the_back_end_knows_is_left_open(context: Context, tmp_path: Path, text: str) -> None:
    stored = store_local(context, "lamp", write(tmp_path / "lamp", text))
    assert stored.version is None
    with tarfile.open(context.store.blob_path(stored.sha256)) as archive:
        assert "lamp-0/PKG-INFO" not in archive.getnames()


def test_empty_store_is_filled_from_the_path_if_it_has_what_was_locked(context: Context, tmp_path: Path) -> None:
    folder = write(tmp_path / "lamp", STATIC)
    (tmp_path / "porch").mkdir()
    (tmp_path / "porch/app.py").touch()
    table = {"project": {"name": "porch", "dependencies": [f"lamp @ {folder.as_uri()}"]}}
    project = parse_project(table, tmp_path / "porch")
    stored = store_local(context, "lamp", folder)
    file = LockedFile(filename=stored.filename, url="", sha256=stored.sha256, size=stored.size, path="../lamp")
    lamp = LockedDistribution(name="lamp", version="1.0.0", source="sdist", why="", file=file)
    lock = Lock(target=Target.parse("armv7hf"), inputs="", distributions=(lamp,), debs=())
    blob = context.store.blob_path(stored.sha256)
    blob.unlink()
    ensure_local_files(context, project, lock)
    assert blob.exists()
    blob.unlink()
    (folder / "src/lamp.py").write_text("BRIGHT = 2\n")
    with pytest.raises(IntegrityError, match="is not what was locked as lamp"):
        ensure_local_files(context, project, lock)
