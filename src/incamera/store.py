"""The store: the content-addressed cache on the host. A name in it means verified bytes.

<root>/blobs/ab/abcd…           a file by its sha256
<root>/trees/<kind>/<key>/      a folder made from known inputs; <key> is a digest of those
<root>/trees/<kind>/<key>.json  its entries, so that it can be verified
<root>/devices/                 what the user told us: devices, host keys. Never cleaned.
<root>/virtual/                 running virtual cameras
<root>/shares/                  network shares: what the user said of them, their passwords. Never cleaned.
<root>/locks/  <root>/tmp/      for several processes at once; half-made things live in tmp/ alone
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from incamera.disk import disk_usage, remove_tree
from incamera.errors import IntegrityError, StoreError
from incamera.tree import Entry, dump_entries, list_tree, parse_entries

_CACHEDIR_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache made by incamera.\n"
# A temporary folder whose maker is gone is litter; one this old is litter even if its maker's id lives on.
_STALE_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that `verify` found wrong, and removed."""

    name: str
    problem: str


class BlobWriter:
    """Writes a blob and hashes it on the way."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self.size += len(data)

    def restart(self) -> None:
        """Begin again, as after a broken download."""
        self._stream.seek(0)
        self._stream.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("blobs", "trees", "locks", "tmp"):
                (root / name).mkdir(parents=True, exist_ok=True)
            for name in ("blobs", "trees", "tmp"):
                tag = root / name / "CACHEDIR.TAG"
                if not tag.exists():
                    tag.write_text(_CACHEDIR_TAG)
        except OSError as error:
            raise StoreError(
                f"cannot use the store {root}: {error.strerror}",
                hint="set INCAMERA_STORE to a folder that you can write",
            ) from error

    # Blobs

    def blob_path(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256[:2] / sha256

    def find_blob(self, sha256: str) -> Path | None:
        path = self.blob_path(sha256)
        if not path.exists():
            return None
        # Another process may have cleaned it a moment ago, or the store is read-only: its age matters to neither.
        with suppress(OSError):
            os.utime(path)
        return path

    @contextmanager
    def writing_blob(self, sha256: str, *, name: str) -> Iterator[BlobWriter]:
        """Write the blob *sha256*; it gets its name when the block ends and the digest agrees, else IntegrityError.

        *name* is what a user calls it (`numpy_1.24.deb`), for the message.
        """
        with self.temporary() as folder:
            partial = folder / "blob"
            with self.reporting_disk_errors(), partial.open("wb") as stream:
                writer = BlobWriter(stream)
                yield writer
            if writer.sha256 != sha256:
                raise IntegrityError(
                    f"{name}: the sha256 is {writer.sha256[:16]}…, but {sha256[:16]}… was signed for",
                    hint="the mirror, or something between it and you, changes files: try another mirror",
                )
            with self.reporting_disk_errors():
                partial.chmod(0o444)
                path = self.blob_path(sha256)
                path.parent.mkdir(exist_ok=True)
                partial.replace(path)

    # Trees

    def find_tree(self, kind: str, key: str) -> Path | None:
        """Return the tree *key*, whole, or None. To ask for it is to use it, so `clean` spares it."""
        # The list of entries is written last, so a tree that has one is whole.
        if not (self._entries(kind, key).exists() and self._tree(kind, key).is_dir()):
            return None
        self._touch(kind, key)
        return self._tree(kind, key)

    def tree_entries(self, kind: str, key: str) -> list[Entry]:
        return parse_entries(self._entries(kind, key).read_text("utf-8"))

    def ensure_tree(
        self, kind: str, key: str, build: Callable[[Path], Mapping[str, Entry] | None]
    ) -> tuple[Path, bool]:
        """Return the tree *key* and whether it was there; if not, *build* fills the empty folder that it is given.

        *build* may return entries that it has hashed already. Two processes that want the same tree build it once.
        """
        if found := self.find_tree(kind, key):
            return found, True
        with self.lock(f"{kind}-{key}"):
            if found := self.find_tree(kind, key):
                return found, True
            with self.temporary() as folder, self.reporting_disk_errors():
                made = folder / "tree"
                made.mkdir()
                known = build(made)
                entries = list_tree(made, known)
                path = self._tree(kind, key)
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():  # an entry list was lost, so nothing vouches for this tree
                    remove_tree(path)
                made.replace(path)
                listing = folder / "entries"
                listing.write_text(dump_entries(entries), "utf-8")
                listing.replace(self._entries(kind, key))
            return path, False

    def _tree(self, kind: str, key: str) -> Path:
        return self.root / "trees" / kind / key

    def _entries(self, kind: str, key: str) -> Path:
        return self.root / "trees" / kind / f"{key}.json"

    def _touch(self, kind: str, key: str) -> None:
        with suppress(OSError):  # as in find_blob
            os.utime(self._entries(kind, key))

    # What all share

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the store's lock called *name*: one process at a time."""
        from filelock import FileLock

        with self.reporting_disk_errors(), FileLock(self.root / "locks" / f"{name}.lock"):
            yield

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A folder on the store's file system, gone when the block is left, however that happens."""
        with self.reporting_disk_errors():
            # The maker's process id lets a later `clean` tell litter from work in progress.
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.root / "tmp"))
        try:
            yield folder
        finally:
            with suppress(OSError):  # what is left is litter for `clean`, and no reason to hide why the block was left
                remove_tree(folder)

    @contextmanager
    def reporting_disk_errors(self) -> Iterator[None]:
        """Turn a full or read-only disk into a StoreError with a remedy."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StoreError(
                    f"no space left for the store in {self.root}",
                    hint="free some with `incamera store clean`, or set INCAMERA_STORE to a folder on a larger disk",
                ) from error
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise StoreError(
                    f"cannot write {error.filename or self.root}: {error.strerror}",
                    hint="set INCAMERA_STORE to a folder that you can write",
                ) from error
            raise

    def verify(self) -> tuple[int, list[Fault]]:
        """Hash everything again. Returns how many things were read, and the faults; what is faulty is removed."""
        faults = []
        count = 0
        for blob in sorted((self.root / "blobs").glob("??/*")):
            try:
                with blob.open("rb") as stream:
                    sound = hashlib.file_digest(stream, "sha256").hexdigest() == blob.name
            except FileNotFoundError:
                continue  # another process is cleaning
            except OSError:
                sound = False  # the disk fails to read it
            count += 1
            if not sound:
                blob.unlink(missing_ok=True)
                faults.append(Fault(f"blob {blob.name}", "its bytes have changed"))
        for listing in sorted((self.root / "trees").glob("*/*.json")):
            count += 1
            kind, key = listing.parent.name, listing.stem
            try:
                sound = list_tree(self._tree(kind, key)) == self.tree_entries(kind, key)
            except (OSError, ValueError):
                sound = False
            if not sound:
                self.remove(kind, key)
                faults.append(Fault(f"{kind} {key}", "its files have changed"))
        return count, faults

    def clean(self, *, unused_for_seconds: float) -> int:
        """Remove trees and blobs unused for that long, and litter. Returns the bytes freed."""
        before = disk_usage(self.root)
        limit = time.time() - unused_for_seconds
        for folder in (self.root / "tmp").iterdir():
            if folder.is_dir() and _is_litter(folder):
                remove_tree(folder)
        for path in sorted((self.root / "trees").glob("*/*")):
            if path.name == "CACHEDIR.TAG":
                continue
            kind, key = path.parent.name, path.name.removesuffix(".json")
            with self._lock_if_free(f"{kind}-{key}") as is_free:
                if is_free and self._is_unused(kind, key, limit):
                    self.remove(kind, key)
        for blob in (self.root / "blobs").glob("??/*"):
            with suppress(FileNotFoundError):
                if blob.stat().st_mtime <= limit:
                    blob.unlink()
        # What tools keep for themselves: they make it anew.
        for cache in (self.root / "caches").glob("*/"):
            if cache.stat().st_mtime <= limit:
                remove_tree(cache)
        return max(0, before - disk_usage(self.root))

    def _is_unused(self, kind: str, key: str, limit: float) -> bool:
        try:
            return self._entries(kind, key).stat().st_mtime <= limit
        except FileNotFoundError:
            return True  # nothing vouches for the tree

    @contextmanager
    def _lock_if_free(self, name: str) -> Iterator[bool]:
        """Hold the lock called *name* unless another process has it: that one is making the tree in question."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / "locks" / f"{name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def remove(self, kind: str, key: str) -> None:
        # The list goes first: without it, what is left of the tree is not taken for whole.
        self._entries(kind, key).unlink(missing_ok=True)
        if self._tree(kind, key).exists():
            remove_tree(self._tree(kind, key))


def find_store_path(environment: Mapping[str, str]) -> Path:
    """Return where the store is: INCAMERA_STORE, else the user's data folder."""
    if path := environment.get("INCAMERA_STORE"):
        return Path(path).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("incamera", appauthor=False)


def _is_litter(folder: Path) -> bool:
    try:
        if time.time() - folder.stat().st_mtime > _STALE_AFTER_SECONDS:
            return True
    except FileNotFoundError:
        return False  # its maker has removed it
    pid = folder.name.partition("-")[0]
    return pid.isdigit() and not process_exists(int(pid))


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
