"""The store: blobs, trees, several processes at once, cleaning."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_until

from incamera.digest import Sha256
from incamera.disk import remove_tree
from incamera.errors import BuildError, IntegrityError, StoreError
from incamera.store import Store, explain_error, find_store_path


def digest(data: bytes) -> Sha256:
    return Sha256.of(data)


def put(store: Store, data: bytes) -> Path:
    with store.writing_blob(digest(data), name="thing") as blob:
        blob.write(data)
    return store.blob_path(digest(data))


def temporary_folders(store: Store) -> list[Path]:
    return [path for path in (store.root / "tmp").iterdir() if path.is_dir()]


def fill(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("content")
    (folder / "link").symlink_to("sub/file")


def test_a_blob_is_found_by_its_sha256_and_is_read_only(store: Store) -> None:
    assert store.find_blob(digest(b"data")) is None
    path = put(store, b"data")
    assert store.find_blob(digest(b"data")) == path
    assert path.read_bytes() == b"data"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert not temporary_folders(store)


def test_bytes_with_another_hash_are_refused_and_not_kept(store: Store) -> None:
    def put_wrong() -> None:
        with store.writing_blob(digest(b"right"), name="numpy.deb") as blob:
            blob.write(b"wrong")

    with pytest.raises(IntegrityError, match=r"numpy\.deb: the sha256 is"):
        put_wrong()
    assert store.find_blob(digest(b"right")) is None
    assert not list((store.root / "blobs").glob("??/*"))
    assert not temporary_folders(store)


def test_a_restarted_blob_has_only_what_was_written_after(store: Store) -> None:
    with store.writing_blob(digest(b"new"), name="thing") as blob:
        blob.write(b"something longer")
        blob.restart()
        assert blob.size == 0
        blob.write(b"new")
    assert store.blob_path(digest(b"new")).read_bytes() == b"new"


@pytest.mark.parametrize("name", ["../" * 21 + "x", "A" * 64, "a" * 63, "", "/etc/passwd"])
def test_only_a_digest_names_a_blob(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="is not a sha256"):
        store.find_blob(name)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not a sha256"), store.writing_blob(name, name="thing"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_while_writing_a_blob_leaves_nothing(store: Store, error: type[BaseException]) -> None:
    def put_half() -> None:
        with store.writing_blob(digest(b"data"), name="thing") as blob:
            blob.write(b"data")
            raise error

    with pytest.raises(error):
        put_half()
    assert store.find_blob(digest(b"data")) is None
    assert not temporary_folders(store)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blobs written to the device that the kernel keeps full."""
    real_open = Path.open

    def open_full(self: Path, *args: Any, **kwargs: Any) -> Any:
        return real_open(Path("/dev/full") if self.name == "blob" else self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("size", [10, 1_000_000])  # less and more than is buffered
def test_a_full_disk_is_a_store_error_with_a_hint(store: Store, size: int) -> None:
    with pytest.raises(StoreError, match="no space left") as caught:
        put(store, b"x" * size)
    assert "incamera store clean" in str(caught.value.hint)
    assert not temporary_folders(store)


def test_a_full_disk_while_building_a_tree_leaves_no_tree(store: Store) -> None:
    def build(folder: Path) -> None:
        fill(folder)
        Path("/dev/full").write_text("x")

    with pytest.raises(StoreError, match="no space left"):
        store.ensure_tree("kind", "key", build)
    assert store.find_tree("kind", "key") is None
    assert not temporary_folders(store)


def test_a_store_that_cannot_be_made_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "file" / "store")
    assert "INCAMERA_STORE" in str(caught.value.hint)


def test_a_tree_is_built_only_once(store: Store) -> None:
    path, was_there = store.ensure_tree("kind", "key", fill)
    assert not was_there
    assert (path / "link").read_text() == "content"
    again, was_there = store.ensure_tree("kind", "key", lambda _: pytest.fail("built twice"))
    assert (again, was_there) == (path, True)
    assert {entry.path for entry in store.tree_entries("kind", "key")} == {"sub/file", "link"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_build_that_fails_leaves_no_tree(store: Store, error: type[BaseException]) -> None:
    def build(folder: Path) -> None:
        fill(folder)
        raise error

    with pytest.raises(error):
        store.ensure_tree("kind", "key", build)
    assert store.find_tree("kind", "key") is None
    assert not temporary_folders(store)
    assert store.ensure_tree("kind", "key", fill)[1] is False


def test_a_tree_without_its_list_of_entries_is_built_again(store: Store) -> None:
    # As after a power failure between the two renames.
    half = store.root / "trees" / "kind" / "key"
    half.mkdir(parents=True)
    (half / "half").touch()
    assert store.find_tree("kind", "key") is None
    path, _ = store.ensure_tree("kind", "key", fill)
    assert not (path / "half").exists()


def test_a_list_of_entries_without_its_tree_is_built_again(store: Store) -> None:
    path, _ = store.ensure_tree("kind", "key", fill)
    remove_tree(path)
    assert store.find_tree("kind", "key") is None
    assert store.ensure_tree("kind", "key", fill)[1] is False


# Several processes


def write_many(root: Path, number: int) -> None:
    store = Store(root)
    for item in range(30):
        put(store, f"blob {item}".encode() * 5000)


def build_together(root: Path, notes: Path, processes: int) -> None:
    """Ask for one tree; the process that builds it waits until all *processes* have asked for it."""

    def build(folder: Path) -> None:
        with (notes / "builds").open("a") as stream:
            stream.write("x")
        fill(folder)
        wait_until(lambda: len(list(notes.glob("asked-*"))) == processes, f"{processes} processes ask for the tree")

    (notes / f"asked-{os.getpid()}").touch()
    path, _ = Store(root).ensure_tree("kind", "key", build)
    assert (path / "link").read_text() == "content"


def clean_all_the_time(root: Path, stop: Any) -> None:
    store = Store(root)
    while not stop.is_set():
        store.clean(unused_for_seconds=3600)
        store.verify()


def run_in_processes(target: Any, *arguments: tuple[Any, ...]) -> None:
    context = multiprocessing.get_context("spawn")  # a fork is not safe in a process with threads
    processes = [context.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(processes)


@pytest.mark.starts_processes
def test_several_processes_can_write_the_same_blobs(store: Store) -> None:
    run_in_processes(write_many, *((store.root, number) for number in range(4)))
    assert store.verify() == (30, [])
    assert not temporary_folders(store)


@pytest.mark.starts_processes
def test_of_several_processes_only_one_builds_a_tree(store: Store, tmp_path: Path) -> None:
    run_in_processes(build_together, *((store.root, tmp_path, 4) for _ in range(4)))
    assert (tmp_path / "builds").read_text() == "x"
    assert store.verify() == (1, [])


@pytest.mark.starts_processes
def test_cleaning_and_verifying_do_not_disturb_work_in_progress(store: Store, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a fork is not safe in a process with threads
    stop = context.Event()
    cleaner = context.Process(target=clean_all_the_time, args=(store.root, stop))
    cleaner.start()
    try:
        run_in_processes(write_many, (store.root, 1), (store.root, 2))
        run_in_processes(build_together, (store.root, tmp_path, 1))
    finally:
        stop.set()
        cleaner.join(60)
    assert cleaner.exitcode == 0
    assert store.verify() == (31, [])


# Verifying and cleaning


def test_verify_removes_changed_blobs_and_trees(store: Store) -> None:
    good, bad = put(store, b"good"), put(store, b"bad")
    bad.chmod(0o644)
    bad.write_bytes(b"BAD")
    tree, _ = store.ensure_tree("kind", "key", fill)
    (tree / "sub" / "file").write_text("contenT")
    count, faults = store.verify()
    assert count == 3
    assert {fault.name for fault in faults} == {f"blob {digest(b'bad')}", "kind key"}
    assert good.exists()
    assert store.find_blob(digest(b"bad")) is None
    assert store.find_tree("kind", "key") is None
    assert store.verify() == (1, [])


def test_clean_removes_what_was_not_used_for_the_given_time(store: Store) -> None:
    old, used = put(store, b"old" * 1000), put(store, b"used")
    tree, _ = store.ensure_tree("kind", "key", fill)
    long_ago = time.time() - 1000
    for path in (old, used, tree.with_name("key.json")):
        os.utime(path, (long_ago, long_ago))
    assert store.find_blob(Sha256(used.name)) == used  # find_blob counts as use
    freed = store.clean(unused_for_seconds=500)
    assert freed >= 3000
    assert store.find_blob(Sha256(old.name)) is None
    assert store.find_blob(Sha256(used.name)) == used
    assert store.find_tree("kind", "key") is None
    assert not tree.exists()


def test_clean_keeps_a_tree_that_was_used_since(store: Store) -> None:
    store.ensure_tree("tools", "used", lambda tree: None)
    listing = store.root / "trees/tools/used.json"
    os.utime(listing, (1, 1))
    assert store.find_tree("tools", "used")
    store.clean(unused_for_seconds=3600)
    assert store.find_tree("tools", "used")


def test_clean_removes_temporary_folders_of_ended_processes(store: Store) -> None:
    gone, alive = store.root / "tmp" / "4999999-x", store.root / "tmp" / f"{os.getpid()}-y"
    gone.mkdir()
    alive.mkdir()
    store.clean(unused_for_seconds=1000)
    assert not gone.exists()
    assert alive.exists()


def test_clean_keeps_a_tree_that_is_being_built(store: Store) -> None:
    half = store.root / "trees" / "kind" / "key"
    half.mkdir(parents=True)
    with store.lock("kind-key"):
        store.clean(unused_for_seconds=0)
        assert half.exists()
    store.clean(unused_for_seconds=0)
    assert not half.exists()


def test_ctrl_c_while_a_temporary_folder_is_removed_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed: list[Path] = []

    def interrupted(folder: Path) -> None:
        if not pressed:
            pressed.append(folder)
            raise KeyboardInterrupt
        remove_tree(folder)

    monkeypatch.setattr("incamera.store.remove_tree", interrupted)
    with pytest.raises(KeyboardInterrupt), store.temporary() as folder:
        (folder / "file").write_text("half")
    assert pressed
    assert not temporary_folders(store)


def test_an_error_while_removing_a_temporary_folder_does_not_hide_the_first_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError("busy")

    monkeypatch.setattr("incamera.store.remove_tree", refuse)
    with pytest.raises(ValueError, match="why"), store.temporary():
        raise ValueError("why")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


def test_the_store_is_in_incamera_store_or_in_the_home(home: Path, tmp_path: Path) -> None:
    assert find_store_path({"INCAMERA_STORE": str(tmp_path / "s")}) == tmp_path / "s"
    assert find_store_path({"HOME": str(home)}).is_relative_to(home)


def test_a_damaged_list_of_entries_is_an_error_with_the_remedy(store: Store) -> None:
    path, _ = store.ensure_tree("kind", "key", fill)
    path.with_name("key.json").write_text("{")
    with pytest.raises(StoreError, match=r"key\.json is damaged") as caught:
        store.tree_entries("kind", "key")
    assert "`incamera store verify`" in str(caught.value.hint)
    assert [fault.name for fault in store.verify()[1]] == ["kind key"]
    assert store.ensure_tree("kind", "key", fill)[1] is False


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("cut")])
def test_a_tree_with_a_lost_or_cut_off_file_is_not_whole(store: Store, damage: Any) -> None:
    path, _ = store.ensure_tree("kind", "key", fill)
    assert len(store.require_whole("kind", "key")) == 2
    damage(path / "sub/file")
    with pytest.raises(StoreError, match=r"the store is damaged: .*/sub/file") as caught:
        store.require_whole("kind", "key")
    assert "`incamera store verify`" in str(caught.value.hint)


def test_a_blob_that_cannot_be_read_because_it_is_damaged_is_removed(store: Store) -> None:
    path = put(store, b"data")

    def read() -> None:
        with store.reading_blob(path, name="numpy.deb"):
            raise BuildError("corrupt")

    with pytest.raises(BuildError, match="corrupt"):
        read()
    assert path.exists()
    path.chmod(0o600)
    path.write_bytes(b"dat")
    with pytest.raises(StoreError, match=r"numpy\.deb in the store was damaged: corrupt") as caught:
        read()
    assert "try again" in str(caught.value.hint)
    assert not path.exists()


def test_a_file_that_is_no_blob_is_never_removed(store: Store, tmp_path: Path) -> None:
    own = tmp_path / "own.whl"
    own.write_bytes(b"broken")
    with pytest.raises(BuildError), store.reading_blob(own, name="own.whl"):
        raise BuildError("corrupt")
    assert own.exists()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "the store is damaged: .*/trees/x: No such file"),
        (errno.EIO, "the store is damaged: .*/trees/x: Input/output error"),
        (errno.ENOSPC, "no space left for the store"),
        (errno.EROFS, "cannot write .*/trees/x: Read-only"),
    ],
)
def test_an_error_about_a_file_of_the_store_is_explained(store: Store, number: int, words: str) -> None:
    error = OSError(number, os.strerror(number), str(store.root / "trees/x"))
    explained = explain_error(error, {"INCAMERA_STORE": str(store.root)})
    assert explained is not None
    assert re.match(words, str(explained))
    assert explain_error(error, {"INCAMERA_STORE": "/elsewhere"}) is None
    assert explain_error(OSError(number, "x"), {"INCAMERA_STORE": str(store.root)}) is None
