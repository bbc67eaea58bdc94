"""What killed processes leave in the store is removed at the next start, and nothing in it grows without end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from incamera import store_cleaning
from incamera.disk import write_atomic
from incamera.store import Store

# Holds a lock, a temporary folder, and a file that is being written, until it is killed.
_BUSY = """
import sys, time
from pathlib import Path
from incamera import disk
from incamera.store import Store
store = Store(Path(sys.argv[1]))
def replace(self, target):
    print("ready", flush=True)
    time.sleep(1000)
def build(tree):
    (tree / "big").write_bytes(bytes(1_000_000))
    disk.Path.replace = replace
    disk.write_atomic(store.root / "caches/index/some.page", b"half")
store.ensure_tree("kind", sys.argv[2], build)
"""


def start_busy(root: Path, key: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", _BUSY, root, key], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def kill(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "tidied"}


@pytest.mark.starts_processes
def test_what_killed_processes_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Store(root)
    before = files(root)
    children = [start_busy(root, str(number)) for number in range(3)]
    for child in children:
        kill(child)
    assert len(files(root)) >= len(before) + 9
    Store(root)
    assert files(root) == before
    assert not [path for path in (root / "tmp").iterdir() if path.is_dir()]


@pytest.mark.starts_processes
def test_what_a_running_process_uses_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Store(root)
    dead, busy = start_busy(root, "1"), start_busy(root, "2")
    try:
        kill(dead)
        Store(root)
        assert sum("some.page" in name for name in files(root)) == 1
        Store(root).clean(unused_for_seconds=-1)
        assert {name for name in files(root) if name.startswith(f"tmp/{busy.pid}-")}
        assert "locks/kind-2.lock" in files(root)
        assert "locks/kind-1.lock" not in files(root)
    finally:
        kill(busy)


def test_a_folder_that_another_container_uses_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process has an id that does not exist here, but the folder is locked."""
    monkeypatch.setattr("incamera.store_cleaning.process_exists", lambda pid: False)
    with store.temporary() as folder:
        Store(store.root)
        assert folder.exists()
    folder.mkdir()
    Store(store.root)
    assert not folder.exists()


def test_lock_files_are_removed_when_they_are_released(store: Store) -> None:
    for number in range(5):
        store.ensure_tree("kind", str(number), lambda tree: None)
        with store.lock("other"):
            assert (store.root / "locks/other.lock").exists()
    assert not list((store.root / "locks").iterdir())


@pytest.mark.starts_processes
def test_a_lock_excludes_others_although_its_file_is_removed(store: Store) -> None:
    count = """
import sys, time
from pathlib import Path
from incamera.store import Store
store = Store(Path(sys.argv[1]))
for _ in range(25):
    with store.lock("counter"):
        path = store.root / "counter"
        number = int(path.read_text())
        time.sleep(0.001)
        path.write_text(str(number + 1))
"""
    (store.root / "counter").write_text("0")
    children = [subprocess.Popen([sys.executable, "-c", count, store.root]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert (store.root / "counter").read_text() == "75"


def test_incomplete_trees_are_removed_once_a_day(store: Store) -> None:
    with store.temporary():
        pass
    (store.root / "trees/kind/half").mkdir(parents=True)
    (store.root / "trees/kind/lost.json").write_text("[]")
    with Store(store.root).temporary():
        pass
    assert (store.root / "trees/kind/half").exists()
    yesterday = time.time() - 25 * 3600
    os.utime(store.root / "tidied", (yesterday, yesterday))
    with Store(store.root).temporary():
        pass
    assert not list((store.root / "trees/kind").iterdir())


def test_a_start_with_nothing_to_remove_lists_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_cleaning, "remove_left_over", lambda root: pytest.fail("listed"))
    monkeypatch.setattr(store_cleaning, "tidy", lambda root: pytest.fail("tidied"))
    if (store.root / "tmp").stat().st_nlink == 2:
        Store(store.root)


def test_only_so_many_trees_of_a_kind_are_kept(store: Store) -> None:
    for number in range(5):
        store.ensure_tree("kind", str(number), lambda tree: None, most=3)
    kept = {path.stem for path in (store.root / "trees/kind").glob("*.json")}
    assert kept == set("01234"), "those that were used just now"
    for number in range(5):
        long_ago = time.time() - 7200 + number
        os.utime(store.root / f"trees/kind/{number}.json", (long_ago, long_ago))
    store.find_tree("kind", "0")  # counts as use
    store.ensure_tree("kind", "5", lambda tree: None, most=3)
    assert {path.name for path in (store.root / "trees/kind").glob("*/")} == {"0", "4", "5"}


def test_what_a_running_camera_needs_for_a_restart_is_kept(store: Store) -> None:
    for key in ("used", "unused"):
        store.ensure_tree("kind", key, lambda tree: (tree / "file").touch())
    camera = store.root / "virtual" / "porch"
    camera.mkdir(parents=True)
    store.keep_trees(["-L", f"{store.root}/trees/kind/used/usr/lib:/elsewhere"], as_long_as=camera)
    store.clean(unused_for_seconds=-1)
    assert store.find_tree("kind", "used")
    assert not store.find_tree("kind", "unused")


def test_a_file_that_is_being_written_by_this_process_is_kept(store: Store) -> None:
    unfinished = store.root / f"caches/index/.page.{os.getpid()}-abc"
    write_atomic(unfinished, b"")
    with store.temporary():
        pass
    assert unfinished.exists()


def test_lockfiles_of_scripts_are_removed_when_they_were_not_used_for_30_days(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    locks = []
    for name, days in (("new", 29), ("old", 31)):
        lock = store.root / "scripts" / name / "pylock.armv7hf-cp311.toml"
        lock.parent.mkdir(parents=True)
        lock.touch()
        for path in (lock, lock.parent):
            os.utime(path, (0, time.time() - days * 24 * 3600))
        locks.append(lock)
    new, old = locks
    store.clean(unused_for_seconds=60 * 24 * 3600)
    assert old.exists()
    store.clean(unused_for_seconds=-1)  # --all
    assert new.exists()
    assert not old.parent.exists()
