"""Which builds get the headers of the camera's libraries."""

from __future__ import annotations

from pathlib import Path

from incamera.build.camera_sdk import NO_USE, find_camera_use


def use_of(folder: Path, include: str) -> tuple[set[str], tuple[str, ...]]:
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src/a.c").write_text(f"#include <{include}>\n", "utf-8")
    use = find_camera_use(folder)
    return {library.name for library in use.libraries}, use.dev


def test_build_gets_glib_only_for_libraries_whose_headers_include_it(tmp_path: Path) -> None:
    assert use_of(tmp_path, "vdo-stream.h") == ({"vdo"}, ("libglib2.0-dev",))
    assert use_of(tmp_path, "larod.h") == ({"larod"}, ())


def test_build_that_names_no_library_of_the_camera_gets_nothing(tmp_path: Path) -> None:
    assert use_of(tmp_path, "stdio.h") == (set(), ())
    assert find_camera_use(tmp_path) == NO_USE


def test_outputs_of_earlier_builds_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/a.c").write_text("#include <vdo-stream.h>\n", "utf-8")
    assert find_camera_use(tmp_path) == NO_USE
