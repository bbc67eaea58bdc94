"""The store: the content-addressed cache on the host. A file gets its name there only after it was verified.

<root>/blobs/ab/abcd…           a file, by its sha256
<root>/trees/<kind>/<key>/      a folder made from known inputs; <key> is a digest of the inputs
<root>/trees/<kind>/<key>.json  its entries, so that it can be verified
<root>/devices/                 devices and host keys, as the user added them. Never cleaned.
<root>/virtual/                 running virtual cameras
<root>/shares/                  network shares: their settings and passwords. Never cleaned.
<root>/sdks/                    which images of the vendor's SDK were added. Never cleaned.
<root>/scripts/                 the lockfiles of scripts. Never cleaned.
<root>/caches/                  what can be fetched or computed again
<root>/holder/                  the socket of the process that keeps connections open
<root>/keys/                    the keys of virtual cameras
<root>/logs/                    what builds and runs have printed
<root>/locks/                   lock files, for several processes at once
<root>/tmp/                     unfinished files and folders

It belongs to one user. Programs that this user starts, maybe root, come from it, so nobody else may write to it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO

from incamera.digest import Sha256
from incamera.disk import disk_usage, fix_umask, process_exists, remove_tree
from incamera.errors import BuildError, IntegrityError, StoreError
from incamera.home import expand_home, find_home
from incamera.store_access import PATH_ONLY, open_folders
from incamera.tree import Entry, dump_entries, list_tree, parse_entries
from incamera.units import format_count

__all__ = ["BlobWriter", "Fault", "Store", "damaged", "explain_error", "find_store_path", "process_exists"]

_CACHEDIR_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache made by incamera.\n"
# How long a tree that is one too many of its kind is kept after its last use.
_SPARED_SECONDS = 3600
_TIDY_EVERY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Fault:
    """A damaged blob or tree that `verify` found and removed."""

    name: str
    problem: str


class BlobWriter:
    """Writes a blob and computes its hash. *size* is how many bytes were written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self.size += len(data)

    def restart(self) -> None:
        """Discard what was written, to start again after a broken download."""
        self._stream.seek(0)
        self._stream.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> Sha256:
        """The hash of what was written."""
        return Sha256(self._hash.hexdigest())


class Store:
    """The store in the folder *root*. Several processes and threads may use it at once."""

    def __init__(self, root: Path) -> None:
        """Make the folders that are missing, with modes of their own whatever the umask is.

        Raises StoreError when that cannot be done, or when another user owns the store or can write to it.
        """
        self.root = root
        try:
            fix_umask()  # for the folders above, too
            root.mkdir(PATH_ONLY, parents=True, exist_ok=True)
            found = open_folders(root)
            for name in ("blobs", "trees", "tmp"):
                tag = root / name / "CACHEDIR.TAG"
                if not tag.exists():
                    tag.write_text(_CACHEDIR_TAG)
        except OSError as error:
            raise StoreError(
                f"cannot use the store {root}: {error.strerror}",
                hint="set INCAMERA_STORE to a folder that you can write",
            ) from error
        # A folder has two links, and one more for each folder in it: so nothing is listed when there is none. Some file
        # systems do not count.
        if found["tmp"].st_nlink != 2 and _cleaning().remove_left_over(root):
            _cleaning().tidy(root)
        self._tidied = found["tidied"].st_mtime if "tidied" in found else 0.0

    # Blobs

    def blob_path(self, sha256: Sha256) -> Path:
        """Return where the blob *sha256* is, if the store has it."""
        sha256 = Sha256(sha256)  # a caller that mypy does not check
        return self.root / "blobs" / sha256[:2] / sha256

    def find_blob(self, sha256: Sha256) -> Path | None:
        """Return the path of the blob *sha256*; None when the store does not have it. Counts as use for `clean`."""
        path = self.blob_path(sha256)
        if not path.exists():
            return None
        # It fails when another process cleans the blob just now, or the store is read-only: neither needs its age.
        with suppress(OSError):
            os.utime(path)
        return path

    @contextmanager
    def writing_blob(self, sha256: Sha256, *, name: str) -> Iterator[BlobWriter]:
        """Yield a writer for the blob *sha256*, which gets its name when the block ends.

        *name* is what messages call it (`numpy_1.24.deb`). Raises IntegrityError when what was written has another
        hash, StoreError when the disk is full or read-only.
        """
        path = self.blob_path(sha256)
        with self.temporary() as folder:
            partial = folder / "blob"
            with self.reporting_disk_errors(), partial.open("wb") as stream:
                writer = BlobWriter(stream)
                yield writer
            if writer.sha256 != sha256:
                raise IntegrityError(
                    f"{name}: the sha256 is {writer.sha256[:16]}…, but must be {sha256[:16]}…",
                    hint="the server, or a proxy on the way, changes files: try another mirror or index",
                )
            with self.reporting_disk_errors():
                partial.chmod(0o444)
                path.parent.mkdir(exist_ok=True)
                partial.replace(path)

    @contextmanager
    def reading_blob(self, path: Path, *, name: str) -> Iterator[None]:
        """While the block reads the file *path*: when that raises a BuildError, and it is a blob, see if it is damaged.

        Raises StoreError if so, and removes the blob. *name* is what messages call it.
        """
        try:
            yield
        except BuildError as error:
            if path.parents[1] != self.root / "blobs" or self._is_intact(path):
                raise
            path.unlink(missing_ok=True)
            raise StoreError(
                f"{name} in the store was damaged: {error}",
                hint="it was removed: try again, and it is fetched again. `incamera store verify` checks the others",
            ) from error

    @staticmethod
    def _is_intact(blob: Path) -> bool:
        try:
            with blob.open("rb") as stream:
                return Sha256.of_stream(stream) == blob.name
        except FileNotFoundError:
            return True  # another process removes it
        except OSError:
            return False  # the disk cannot read it

    # Trees

    def find_tree(self, kind: str, key: str) -> Path | None:
        """Return the path of the tree *key*; None when the store does not have all of it. Counts as use for `clean`."""
        # The list of entries is written last, so a tree that has one is complete.
        if not (self._entries(kind, key).exists() and self._tree(kind, key).is_dir()):
            return None
        self._touch(kind, key)
        return self._tree(kind, key)

    def tree_entries(self, kind: str, key: str) -> list[Entry]:
        """Return what the tree *key* consists of. Raises OSError when there is none, StoreError for damage."""
        path = self._entries(kind, key)
        try:
            return parse_entries(path.read_text("utf-8"))
        except ValueError as error:
            raise damaged(f"{path} is damaged: {error}") from error

    def require_whole(self, kind: str, key: str) -> list[Entry]:
        """Return what the tree *key* consists of. Raises StoreError when one of its files is missing or cut off."""
        folder = self._tree(kind, key)
        entries = self.tree_entries(kind, key)
        for entry in entries:
            try:
                status = (folder / entry.path).lstat()
            except OSError as error:
                raise damaged(f"{folder / entry.path} is missing or cannot be read: {error.strerror}") from error
            if not entry.link and status.st_size != entry.size:
                size = format_count(status.st_size, "byte")
                raise damaged(f"{folder / entry.path} has {size}, not {entry.size} as before")
        return entries

    def ensure_tree(
        self, kind: str, key: str, build: Callable[[Path], Mapping[str, Entry] | None], *, most: int | None = None
    ) -> tuple[Path, bool]:
        """Return the path of the tree *key*, and whether the store had it already.

        If it had not, *build* is called with an empty folder to fill; it may return entries whose hashes it knows, by
        their paths. When several processes need the same tree, one builds it and the others wait. With *most*, older
        trees of the kind are removed when there are more. Raises StoreError when the disk is full or read-only.
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
                path.parent.mkdir(PATH_ONLY, exist_ok=True)
                if path.exists():  # without a list of entries, so it may be incomplete
                    remove_tree(path)
                made.replace(path)
                listing = folder / "entries"
                listing.write_text(dump_entries(entries), "utf-8")
                listing.replace(self._entries(kind, key))
        if most is not None:
            _cleaning().keep_newest(self.root, kind, most, unused_for_seconds=_SPARED_SECONDS)
        return path, False

    def _tree(self, kind: str, key: str) -> Path:
        return self.root / "trees" / kind / key

    def _entries(self, kind: str, key: str) -> Path:
        return self.root / "trees" / kind / f"{key}.json"

    def _touch(self, kind: str, key: str) -> None:
        with suppress(OSError):  # as in find_blob
            os.utime(self._entries(kind, key))

    # Locks, temporary folders, errors

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock called *name* while the block runs, after waiting for other processes that hold it."""
        with self.reporting_disk_errors(), _cleaning().locked(self.root, name):
            yield

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Yield an empty folder on the store's file system, which is removed when the block ends, even by an error."""
        with self.reporting_disk_errors():
            self._tidy_daily()
            # By our process id, another process knows later that the folder is left over. The name is chosen first, so
            # that a folder is removed even if Ctrl-C comes as it is made.
            import secrets  # lazy: an idle build writes nothing

        folder = self.root / "tmp" / f"{os.getpid()}-{secrets.token_hex(8)}"
        held = None
        try:
            with self.reporting_disk_errors():
                folder.mkdir(0o700)
            held = _cleaning().hold_folder(folder)
            yield folder
        finally:
            try:
                _remove_temporary(folder)
            except KeyboardInterrupt:
                _remove_temporary(folder)
                raise
            finally:
                if held is not None:
                    os.close(held)

    def _tidy_daily(self) -> None:
        if 0 <= time.time() - self._tidied < _TIDY_EVERY_SECONDS:
            return
        self._tidied = time.time()
        (self.root / "tidied").touch()
        _cleaning().tidy(self.root)

    @contextmanager
    def reporting_disk_errors(self) -> Iterator[None]:
        """Raise a StoreError with a hint in place of an OSError of a full or read-only disk."""
        try:
            yield
        except OSError as error:
            if explained := _disk_error(error, self.root):
                raise explained from error
            raise

    def verify(self) -> tuple[int, list[Fault]]:
        """Hash all blobs and trees again, and remove those that have changed.

        Returns how many were checked, and those that were removed.
        """
        faults = []
        count = 0
        for blob in sorted((self.root / "blobs").glob("??/*")):
            count += 1
            if not self._is_intact(blob):
                blob.unlink(missing_ok=True)
                faults.append(Fault(f"blob {blob.name}", "its bytes have changed"))
        for listing in sorted((self.root / "trees").glob("*/*.json")):
            count += 1
            kind, key = listing.parent.name, listing.stem
            try:
                is_intact = list_tree(self._tree(kind, key)) == self.tree_entries(kind, key)
            except (OSError, StoreError):
                is_intact = False
            if not is_intact:
                self.remove(kind, key)
                faults.append(Fault(f"{kind} {key}", "its files have changed"))
        return count, faults

    def clean(self, *, unused_for_seconds: float) -> int:
        """Remove trees, blobs and caches that were not used for *unused_for_seconds*, and left-over temporary folders.

        Returns how many bytes that has freed.
        """
        before = disk_usage(self.root)
        _cleaning().clean(self.root, time.time() - unused_for_seconds)
        return max(0, before - disk_usage(self.root))

    def keep_trees(self, words: Iterable[str], *, as_long_as: Path) -> None:
        """Let `clean` spare the trees whose paths are in *words*, until a camera's folder, *as_long_as*, goes."""
        _cleaning().keep_trees(self.root, words, as_long_as)

    def discard_damaged(self, kind: str, key: str, find_damaged: Callable[[Path], str | None]) -> str | None:
        """Remove the tree *key* if *find_damaged* returns what of it is damaged. Returns that, or None."""
        found = self.find_tree(kind, key)
        if found is None or find_damaged(found) is None:
            return None
        with self.lock(f"{kind}-{key}"):
            # Another process may have removed it meanwhile, and made it again.
            found = self.find_tree(kind, key)
            damaged = find_damaged(found) if found else None
            if damaged:
                self.remove(kind, key)
        return damaged

    def remove(self, kind: str, key: str) -> None:
        """Remove the tree *key*, if the store has it."""
        _cleaning().remove_kept(self.root, kind, key)


def _cleaning() -> ModuleType:
    from incamera import store_cleaning  # lazy: an idle build takes no lock and removes nothing

    return store_cleaning


def damaged(what: str) -> StoreError:
    """Return the error for a part of the store that was changed or lost."""
    return StoreError(
        f"the store is damaged: {what}", hint="`incamera store verify` removes what is damaged, and it is made again"
    )


def explain_error(error: OSError, environment: Mapping[str, str]) -> StoreError | None:
    """Return what *error* means when it is about a file of the store; None when it is not."""
    root = find_store_path(environment)
    if not isinstance(error.filename, str | os.PathLike) or not Path(error.filename).is_relative_to(root):
        return None
    return _disk_error(error, root) or damaged(f"{error.filename}: {error.strerror}")


def _remove_temporary(folder: Path) -> None:
    """Remove *folder*. What cannot be removed must not hide the block's own error; the next start removes it."""
    with suppress(OSError):
        remove_tree(folder)


def _disk_error(error: OSError, root: Path) -> StoreError | None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            f"no space left for the store in {root}",
            hint="free some with `incamera store clean`, or set INCAMERA_STORE to a folder on a larger disk",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreError(
            f"cannot write {error.filename or root}: {error.strerror}",
            hint="set INCAMERA_STORE to a folder that you can write",
        )
    return None


def find_store_path(environment: Mapping[str, str]) -> Path:
    """Return the folder of the store: INCAMERA_STORE, or one in the user's data folder. Raises ConfigError."""
    if path := environment.get("INCAMERA_STORE"):
        return expand_home(path, environment).absolute()
    if sys.platform == "linux":
        # As platformdirs does it. That takes longer to import than an idle build needs for its own work.
        data = environment.get("XDG_DATA_HOME", "").strip()
        # The standard has relative paths ignored: the store would be another one in each folder.
        is_valid = data.startswith("/")
        return (Path(data) if is_valid else find_home(environment) / ".local/share") / "incamera"
    import platformdirs  # lazy: start-up; not needed on Linux, nor where INCAMERA_STORE is set

    return platformdirs.user_data_path("incamera", appauthor=False)
