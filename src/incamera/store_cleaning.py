"""What is removed from the store: what dead processes have left, and what was not used for long."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from incamera.disk import process_exists, remove_tree, unfinished_by

# A temporary folder is left over when the process that made it has ended. One this old is left over even if a process
# has that id: the system reuses ids.
_STALE_AFTER_SECONDS = 24 * 3600
# Where `write_atomic` writes. The caches of tools have files of their own.
_WRITTEN = (
    *(
        "caches/audits",
        "caches/build-requires",
        "caches/debian-indexes",
        "caches/debian-rejected",
        "caches/debian-releases",
    ),
    *("caches/devices", "caches/guards", "caches/index", "caches/metadata", "caches/trims", "caches/uses"),
    *("devices", "releases", "sdks", "shares", "virtual"),
)
_LOCKS_SECONDS = 30 * 24 * 3600
# In the folder of a running virtual camera: the trees it needs, a line `KIND/KEY` for each.
_CAMERA_TREES = "trees"
_TEMPORARY = re.compile(r"([0-9]+)-")


def remove_left_over(root: Path) -> bool:
    """Remove the temporary folders of processes that have ended. Returns whether there was one."""
    found = False
    for folder in (root / "tmp").iterdir():
        if folder.is_dir() and _is_left_over(folder):
            found = True
            with suppress(OSError):
                remove_tree(folder)
    return found


def tidy(root: Path) -> None:
    """Remove what killed processes have left besides: lock files, incomplete trees, files that were being written."""
    for path in (root / "locks").glob("*.lock"):
        with suppress(OSError), lock_if_free(root, path.stem):
            pass  # which removes it
    for kind in (root / "trees").glob("*/"):
        names = {path.name for path in kind.iterdir()}
        trees = {name for name in names if not name.endswith(".json")}
        listed = {name.removesuffix(".json") for name in names - trees}
        for key in trees ^ listed:  # one of the two is missing
            remove_if_free(
                root, kind.name, key, lambda listing: not (listing.exists() and listing.with_suffix("").exists())
            )
    for name in _WRITTEN:
        for folder, _, files in os.walk(root / name):
            for file in files:
                pid = unfinished_by(file)
                if pid is not None and not process_exists(pid):
                    with suppress(OSError):
                        Path(folder, file).unlink()


def clean(root: Path, limit: float) -> None:
    """Remove trees, blobs and caches that were not used since *limit*, in seconds as `time.time` counts them.

    The lockfiles of scripts are kept for 30 days at least: they cannot be made again, only others in their place.
    """
    remove_left_over(root)
    tidy(root)
    for listing in sorted((root / "trees").glob("*/*.json")):
        remove_if_free(root, listing.parent.name, listing.stem, lambda listing: _last_use(listing) <= limit)
    for blob in (root / "blobs").glob("??/*"):
        with suppress(FileNotFoundError):
            if blob.stat().st_mtime <= limit:
                blob.unlink()
    for log in (root / "logs").glob("*.log"):  # of builds; those of runs are folders
        with suppress(FileNotFoundError):
            if log.stat().st_mtime <= limit:
                log.unlink()
    for folder in (root / "scripts").glob("*/"):
        with suppress(OSError):
            if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) <= min(
                limit, time.time() - _LOCKS_SECONDS
            ):
                remove_tree(folder)
    # Caches of tools, which these fill again.
    for cache in (root / "caches").glob("*/"):
        if cache.stat().st_mtime <= limit:
            remove_tree(cache)


def keep_newest(root: Path, kind: str, most: int, *, unused_for_seconds: float) -> None:
    """Remove trees of *kind* that were not used for that long, the oldest first, until only *most* are left."""
    listings = sorted((root / "trees" / kind).glob("*.json"), key=_last_use)
    limit = time.time() - unused_for_seconds
    for listing in listings[: max(0, len(listings) - most)]:
        if _last_use(listing) <= limit:
            remove_if_free(root, kind, listing.stem, lambda listing: _last_use(listing) <= limit)


def remove_if_free(root: Path, kind: str, key: str, is_unwanted: Callable[[Path], bool]) -> None:
    """Remove the tree *key* when *is_unwanted* says so of its list of entries.

    It is kept while a process builds it, or a virtual camera that runs needs it for a restart.
    """
    with suppress(OSError), lock_if_free(root, f"{kind}-{key}") as is_free:
        if is_free and is_unwanted(root / "trees" / kind / f"{key}.json") and not _is_used(root, f"{kind}/{key}"):
            remove_kept(root, kind, key)


def keep_trees(root: Path, words: Iterable[str], camera: Path) -> None:
    """Write into the folder of a *camera* which trees *words* name: they are kept as long as that folder is there."""
    pattern = re.escape(str(root / "trees")) + "/([^/:,]+/[^/:,]+)"
    trees = {tree for word in words for tree in re.findall(pattern, word)}
    (camera / _CAMERA_TREES).write_text("".join(f"{tree}\n" for tree in sorted(trees)))


def _is_used(root: Path, tree: str) -> bool:
    return any(tree in uses.read_text().splitlines() for uses in (root / "virtual").glob(f"*/{_CAMERA_TREES}"))


def remove_kept(root: Path, kind: str, key: str) -> None:
    """Remove the tree *key*, if the store has it."""
    folder = root / "trees" / kind / key
    # The list is removed first: without it, a half-removed tree does not count as complete.
    folder.with_name(f"{key}.json").unlink(missing_ok=True)
    if folder.exists():
        remove_tree(folder)


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Hold the lock called *name* while the block runs, after waiting for other processes that hold it."""
    from filelock import FileLock  # lazy: an idle build takes no lock

    path = root / "locks" / f"{name}.lock"
    with FileLock(path):
        try:
            yield
        finally:
            _remove_lock_file(path)


@contextmanager
def lock_if_free(root: Path, name: str) -> Iterator[bool]:
    """Yield whether no other process holds the lock called *name*; if so, hold it while the block runs."""
    from filelock import FileLock, Timeout  # lazy: an idle build takes no lock

    path = root / "locks" / f"{name}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        _remove_lock_file(path)
        lock.release()


def _remove_lock_file(path: Path) -> None:
    # While it is held: whoever waits for it finds that the file has no name any more, and makes a new one.
    with suppress(OSError):
        path.unlink()


def hold_folder(folder: Path) -> int | None:
    """Mark *folder* as used by this process until the descriptor that is returned is closed. None: it cannot be."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks for folders, as NFS
            os.close(descriptor)
            raise
        return descriptor
    return None


def _is_left_over(folder: Path) -> bool:
    match = _TEMPORARY.match(folder.name)
    try:
        is_old = time.time() - folder.stat().st_mtime > _STALE_AFTER_SECONDS
    except FileNotFoundError:
        return False  # the process that made it has removed it
    if not is_old and (match is None or process_exists(int(match[1]))):
        return False
    # In another container, or on another computer, there may be a process with that id which is not seen here.
    held = hold_folder(folder)
    if held is None:
        return is_old
    os.close(held)
    return True


def _last_use(listing: Path) -> float:
    try:
        return listing.stat().st_mtime
    except FileNotFoundError:
        return 0
