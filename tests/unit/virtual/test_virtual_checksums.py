"""The checksums of a saved state show that a file of it is damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.virtual.checksums import find_damaged, write_checksums

if TYPE_CHECKING:
    from incamera.store import Store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "memory").write_bytes(os.urandom(1_000_000))
    (tmp_path / "sdcard.qcow2").write_bytes(bytes(4096))
    (tmp_path / "empty").write_bytes(b"")
    write_checksums(tmp_path)
    return tmp_path


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk that loses a bit


def test_intact_files_are_not_called_damaged(state: Path) -> None:
    assert find_damaged(state) is None


@pytest.mark.parametrize("name", ["memory", "sdcard.qcow2"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 0),
        lambda path: flip(path, -1),
        lambda path: flip(path, 2000),
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: os.truncate(path, path.stat().st_size + 1),
        lambda path: os.truncate(path, 0),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_damaged_file_is_found(state: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(state / name)
    assert find_damaged(state) == name


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[" * 100_000, "[]", "{}", '{"memory": 1}', '{"memory": [1000000, 5]}', '{"a\\u0000": [1, 5]}'],
)
def test_damaged_checksums_count_as_damage(state: Path, text: str | None) -> None:
    path = state / "checksums.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert find_damaged(state)


def test_file_that_the_checksums_do_not_name_counts_as_damage(state: Path) -> None:
    sums = json.loads((state / "checksums.json").read_bytes())
    del sums["memory"]
    (state / "checksums.json").write_text(json.dumps(sums))
    assert find_damaged(state) == "checksums.json"


def test_a_damaged_tree_is_removed_and_made_again(store: Store) -> None:
    def make(folder: Path) -> None:
        (folder / "memory").write_text("state")
        write_checksums(folder)

    folder, _ = store.ensure_tree("kind", "key", make)
    assert store.discard_damaged("kind", "key", find_damaged) is None
    (folder / "memory").write_text("stale")
    assert store.discard_damaged("kind", "key", find_damaged) == "memory"
    assert store.ensure_tree("kind", "key", make)[1] is False
    assert store.discard_damaged("kind", "other", find_damaged) is None
