"""A build leaves links and odd files in the folders that it can write to: incamera does not follow them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.toolchain.build_folder import BuildFolder
from incamera.toolchain.build_system import BuildSystem
from incamera.toolchain.copying import update_copy
from incamera.toolchain.hooks import call_hook, require_strings
from incamera.toolchain.isolation import make_private_folders
from incamera.toolchain.wheel_build import require_wheel

SYSTEM = BuildSystem(backend="own")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "home/secret"
    path.parent.mkdir()
    path.write_text("s3cret")
    return path


@pytest.mark.parametrize("name", ["own.whl", "../home/secret", "", None, "nothing.whl"])
def test_wheel_that_is_a_link_or_outside_is_no_wheel(tmp_path: Path, secret: Path, name: str | None) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/own.whl").symlink_to(secret)
    with pytest.raises(BuildError, match="did not write that file"):
        require_wheel(tmp_path / "wheels", name, "own", tmp_path / "copy")


def test_wheel_is_copied_out_of_the_builds_reach(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/own.whl").write_bytes(b"PK")
    copy = require_wheel(tmp_path / "wheels", "own.whl", "own", tmp_path / "copy")
    assert (copy, copy.read_bytes()) == (tmp_path / "copy/own.whl", b"PK")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "long"])
def test_answer_of_a_hook_that_is_no_short_file_is_an_error(tmp_path: Path, secret: Path, kind: str) -> None:
    def run(command: Sequence[str], cwd: str | None, more: Mapping[str, str] | None) -> None:
        answer = Path(command[-1]) / "output.json"
        if kind == "link":
            answer.symlink_to(secret)
        elif kind == "pipe":
            os.mkfifo(answer)
        elif kind == "folder":
            answer.mkdir()
        else:
            answer.write_text(" " * 2_000_000)

    with pytest.raises(BuildError, match="the answer of the build back end own cannot be read"):
        call_hook(SYSTEM, "build_wheel", ["/w"], project=tmp_path, python="python", settings={}, run=run)


@pytest.mark.parametrize("answer", ["setuptools", [1], {"a": 1}, None])
def test_requirements_that_are_no_list_of_strings_are_an_error(answer: object) -> None:
    with pytest.raises(BuildError, match="no list of requirements"):
        require_strings(answer, "get_requires_for_build_wheel")


def test_left_out_options_are_read_from_a_file_only(tmp_path: Path, secret: Path) -> None:
    folder = BuildFolder(tmp_path, tmp_path / "python", {}, tmp_path / "cross")
    assert folder.dropped == []
    (tmp_path / "dropped.log").symlink_to(secret)
    assert folder.dropped == []


def test_kept_copy_is_updated_without_following_links(tmp_path: Path, secret: Path) -> None:
    project, copy, record = tmp_path / "project", tmp_path / "copy", tmp_path / "record"
    for name in ("one.py", "sub/two.py", "gone/secret"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("old")
    update_copy(project, copy, record=record)
    # A build replaces a file and two folders by links.
    for name in ("one.py", "sub/two.py", "gone/secret"):
        (copy / name).unlink()
    for name in ("sub", "gone"):
        (copy / name).rmdir()
        (copy / name).symlink_to(secret.parent)
    (copy / "one.py").symlink_to(secret)
    for name in ("one.py", "sub/two.py"):
        (project / name).write_text("newer")
    (project / "gone/secret").unlink()
    (project / "gone").rmdir()
    update_copy(project, copy, record=record)
    assert secret.read_text() == "s3cret"
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]
    assert (copy / "one.py").read_text() == (copy / "sub/two.py").read_text() == "newer"


def test_private_folders_are_new_for_each_command(tmp_path: Path, secret: Path) -> None:
    folders = make_private_folders(tmp_path)
    (folders["/tmp"] / "link").symlink_to(secret.parent)
    assert list(make_private_folders(tmp_path)["/tmp"].iterdir()) == []
    assert secret.exists()


def test_kept_copy_that_a_build_has_nested_too_deep_is_made_anew(tmp_path: Path) -> None:
    project, copy, record = tmp_path / "project", tmp_path / "copy", tmp_path / "record"
    project.mkdir()
    (project / "one.py").write_text("one")
    copy.mkdir()
    for _ in range(2000):  # deeper than Python's recursion goes; os.makedirs would need a path that is too long
        (outer := tmp_path / "outer").mkdir()
        copy.rename(outer / "d")
        outer.rename(copy)
    update_copy(project, copy, record=record)
    assert [path.name for path in copy.iterdir()] == ["one.py"]
