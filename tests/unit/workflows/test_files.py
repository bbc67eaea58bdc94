"""Paths of cp, ls, rm and cat: what is typed, and what a camera may make of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from incamera.device.facts import Place
from incamera.errors import DeviceError, DeviceUnsuitable, StoreError, UsageError
from incamera.guard.transfer import RemoteFile, is_safe_path
from incamera.workflows.files import Files, Remote, _checked_name, _matches, parse_remote, split_path
from incamera.workflows.local_files import require_room

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.connect.connection import Connection
    from incamera.project.settings import Project

RAM = Place(path="/tmp", filesystem="tmpfs", free=1 << 30, writable=True, executable=True)
DATA = "/tmp/incamera/.data/doorbell"


def files(*, anywhere: bool = False) -> Files:
    connection = SimpleNamespace(
        session=None,
        device="cam",
        facts=SimpleNamespace(places=(RAM,), memory_available=1 << 30),
        ensure_guard=lambda: "/guard",
    )
    project: Any = SimpleNamespace(name="doorbell", data=None)
    return Files(cast("Connection", connection), cast("Project", project), anywhere=anywhere)


@pytest.mark.parametrize(
    ("word", "remote"),
    [
        (":data/x", Remote(None, "data/x")),
        ("axiscam:data/x", Remote("axiscam", "data/x")),
        (":", Remote(None, "")),
        ("x", None),
        ("./a:b", None),
        ("a/b:c", None),
        (":a:b", Remote(None, "a:b")),
    ],
)
def test_colon_tells_a_path_in_the_camera(word: str, remote: Remote | None) -> None:
    assert parse_remote(word) == remote


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("data", RemoteFile(DATA, "")),
        ("data/night.csv", RemoteFile(DATA, "night.csv")),
        ("./data//a/./b/", RemoteFile(DATA, "a/b")),
        (f"{DATA}/x", RemoteFile(DATA, "x")),
        ("/tmp/incamera/doorbell/x", RemoteFile("/tmp/incamera/doorbell", "x")),
    ],
)
def test_paths_in_the_apps_folders_are_found(path: str, file: RemoteFile) -> None:
    assert files().locate(path)[1] == file


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/", "/tmp/incamera/.data/doorbell2", "data/../../x", "..", "night.csv", "", "database", "a\0b"],
)
def test_paths_outside_are_refused(path: str) -> None:
    with pytest.raises(UsageError):
        files().locate(path)


def test_anywhere_allows_absolute_paths_without_dots() -> None:
    assert files(anywhere=True).locate("/etc/passwd")[1] == RemoteFile("/", "etc/passwd")
    with pytest.raises(UsageError):
        files(anywhere=True).locate("/etc/../x")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "\x1b[2J", "a\u202eb"])
def test_name_from_a_camera_that_could_do_harm_is_not_copied(name: str) -> None:
    with pytest.raises(DeviceError):
        _checked_name(name)


@pytest.mark.parametrize("name", ["night.csv", "a b", "ü", "it's", "caf\udce9", "..."])
def test_other_names_are_copied(name: str) -> None:
    assert _checked_name(name) == name


@pytest.mark.parametrize("path", ["../x", "a/../b", "/etc", "a//b", "a/", "."])
def test_path_from_a_camera_that_leads_elsewhere_is_refused(path: str) -> None:
    assert not is_safe_path(path)


def test_pattern_matches_one_level_and_no_hidden_names() -> None:
    assert _matches("data/a.csv", ["data", "*.csv"])
    assert not _matches("data/b/a.csv", ["data", "*.csv"])
    assert not _matches("data/.a.csv", ["data", "*.csv"])
    assert _matches("data/b/a.csv", ["data", "*", "*.csv"])


def test_copy_that_does_not_fit_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[SimpleNamespace] = []
    monkeypatch.setattr("incamera.workflows.files.look", lambda *_, **__: there)
    target = files()
    sizes = {RemoteFile(DATA, name): 600 << 20 for name in ("a", "b")}
    with pytest.raises(DeviceUnsuitable, match=r"/tmp on cam has room for 1\.1 GB; the copy needs 1\.3 GB there"):
        target.require_room(sizes)
    there += [SimpleNamespace(path="a", stored=300 << 20), SimpleNamespace(path=".incamera-part-0", stored=1 << 20)]
    target.require_room(sizes)  # what is replaced needs no room


def test_full_disk_here_is_told_before_anything_is_copied(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=rf"{tmp_path} has room for .*; the copy needs 1000000\.0 GB there"):
        require_room(tmp_path / "new" / "folder", 10**15)
    require_room(tmp_path / "new" / "folder", 1)


def test_path_that_is_none_in_a_camera_is_corrected_with_its_device() -> None:
    with pytest.raises(UsageError, match=r"axiscam:night\.csv is no path in a camera") as caught:
        split_path("night.csv", device="axiscam")
    assert caught.value.hint == "type `axiscam:data/night.csv`"
