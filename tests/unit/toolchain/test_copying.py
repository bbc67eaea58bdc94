"""The copy of a project that is kept from one build to the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from incamera.toolchain.copying import copy_project, update_copy
from incamera.toolchain.options import with_build_folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "src/.git").mkdir(parents=True)
    (project / "build").mkdir()
    for path in ("src/one.c", "src/two.c", "pyproject.toml", "build/old.o", "src/.git/index"):
        (project / path).write_text(path)
    return project


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_updated_copy_equals_a_fresh_one(project: Path, tmp_path: Path) -> None:
    copy_project(project, tmp_path / "fresh")
    update_copy(project, tmp_path / "kept/copy", record=tmp_path / "kept/record")
    assert files(tmp_path / "kept/copy") == files(tmp_path / "fresh") == ["pyproject.toml", "src/one.c", "src/two.c"]


def test_update_writes_only_changed_files_and_keeps_objects(project: Path, tmp_path: Path) -> None:
    copy, record = tmp_path / "copy", tmp_path / "record"
    update_copy(project, copy, record=record)
    (copy / "build").mkdir()
    (copy / "build/one.o").write_text("object")
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    (project / "src/one.c").write_text("newer")
    os.utime(project / "src/one.c", (2, 2))  # older than the object file, as from an archive
    (project / "src/three.c").write_text("new")
    (project / "pyproject.toml").unlink()
    update_copy(project, copy, record=record)
    assert files(copy) == ["build/one.o", "src/one.c", "src/three.c", "src/two.c"]
    assert (copy / "src/one.c").read_text() == "newer"
    assert (copy / "src/one.c").stat().st_mtime > 1000
    assert (copy / "src/two.c").stat().st_mtime == 1


def test_what_is_left_out_is_in_neither_copy(project: Path, tmp_path: Path) -> None:
    update_copy(project, tmp_path / "kept/copy", record=tmp_path / "kept/record")
    asked: set[str] = set()

    def leaves_out(path: str) -> bool:
        asked.add(path)
        return path == "src/two.c"

    copy_project(project, tmp_path / "fresh", leaves_out)
    update_copy(project, tmp_path / "kept/copy", leaves_out, record=tmp_path / "kept/record")
    assert files(tmp_path / "kept/copy") == files(tmp_path / "fresh") == ["pyproject.toml", "src/one.c"]
    assert asked == {"pyproject.toml", "src/", "src/one.c", "src/two.c"}


def test_interrupted_copy_is_made_again(project: Path, tmp_path: Path) -> None:
    copy, record = tmp_path / "copy", tmp_path / "record"
    update_copy(project, copy, record=record)
    record.unlink()
    (copy / "src/two.c").write_text("half")
    (copy / "stale.o").write_text("object of an unknown source")
    update_copy(project, copy, record=record)
    assert files(copy) == ["pyproject.toml", "src/one.c", "src/two.c"]
    assert (copy / "src/two.c").read_text() == "src/two.c"


def test_build_folder_is_set_for_back_ends_that_support_it() -> None:
    folder = Path("/kept")
    assert with_build_folder({}, {"setuptools"}, folder) == {}
    assert with_build_folder({"x": "1"}, {"meson-python", "ninja"}, folder) == {"build-dir": "/kept", "x": "1"}
    assert with_build_folder({"build-dir": "own"}, {"scikit-build-core"}, folder) == {"build-dir": "own"}
