"""Errors for wrong settings, dependencies that do not exist, and damaged files of the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..command import Run, assert_error
from ..project import write_project

if TYPE_CHECKING:
    from .place import Place


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('target = ["armv7hf"]', ['unknown key "target"', 'did you mean "targets"']),
        ("targets = 3", ["targets must be a list of strings"]),
        ("debs = [1]", ["debs must be a list of strings"]),
        ('targets = ["armhf"]', ['unknown architecture "armhf"', 'did you mean "armv7hf"']),
        ('python = "2.7"', ["2.7", "3.11"]),
        ('entry = "ap.py"', ['no file "ap.py"', '"app.py"']),
        ('entry = "app.py', ["pyproject.toml", "line 7"]),
        ('compiler = "cc"', ["gcc or zig"]),
    ],
)
def test_error_names_the_setting(tmp_path: Path, incamera: Run, settings: str, words: list[str]) -> None:
    done = incamera("build", cwd=write_project(tmp_path / "plain", settings=settings))
    assert_error(done, 3, *words)


def test_error_without_a_project_names_incamera_new(tmp_path: Path, incamera: Run) -> None:
    assert_error(incamera("build", cwd=tmp_path), 3, "no pyproject.toml", "incamera new")


@pytest.mark.parametrize(
    ("dependencies", "settings", "words"),
    [
        ('["nunpy"]', "", ["cannot resolve nunpy", "no package index has it", "did you mean .*numpy"]),
        ('["numpy>=99"]', "", ["the project asks for numpy>=99", r"deb 1\.24"]),
        ("[]", 'debs = ["libopencv-cor406"]', ["libopencv-cor406", "libopencv-core406"]),
        ('["no such thing"]', "", []),
    ],
)
def test_error_names_the_package_that_cannot_be_had(
    filled: Place, dependencies: str, settings: str, words: list[str]
) -> None:
    write_project(filled.project, dependencies=dependencies, settings=settings)
    assert_error(filled.build(), 5 if words else 3, *words)
    assert not list(filled.project.glob("pylock.*"))


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe", b"[tool", b"tool = 3\n", b"[tool.incamera]\n", b"[tool]\nincamera = []\n"]
)
def test_damaged_lockfile_is_an_error(place: Place, damage: bytes) -> None:
    (place.project / "pylock.armv7hf-cp311.toml").write_bytes(damage)
    assert_error(place.build(), 3, "pylock.armv7hf-cp311.toml is damaged", "incamera lock")


def test_error_names_a_link_to_a_missing_file(place: Place) -> None:
    (place.project / "data.bin").symlink_to("/nowhere")
    assert_error(place.build(), 3, "data.bin")
