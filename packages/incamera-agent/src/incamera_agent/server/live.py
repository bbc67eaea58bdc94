"""The live folder: the app as it is being edited. A batch of changes is staged, checked, then put in place."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time

from incamera_agent.processes import available_bytes
from incamera_agent.server.compile_check import start_check
from incamera_agent.server.requests import is_text, parse_put
from incamera_agent.wire.protocol import Answer, ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, FrozenSet, Optional, Set

    from incamera_agent.server.work import WorkFolder
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import EventLoop

# Larger files are not copied into RAM: the live folder has a symbolic link to the bundle's.
_COPIED_BYTES = 256 << 10
_CHUNK_BYTES = 1 << 16
# The live folder is in RAM. A batch stops growing while the camera itself still has as much as this.
_RESERVE_BYTES = 8 << 20
_MAXIMUM_CHANGES = 50_000
# How many of the files that were refused are kept by their names.
_MAXIMUM_BROKEN = 1000
# How many files may be arriving at a time, each with an open descriptor.
_MAXIMUM_ARRIVING = 16
_LONGEST_PATH = 4096


class Refused(Exception):
    """A change is not valid, or did not arrive whole."""


class Staged:
    """A new file that is being received at *place*, with the mode *mode*."""

    __slots__ = ("descriptor", "digest", "mode", "place", "size")

    def __init__(self, place: str, mode: int) -> None:
        self.place = place
        self.mode = mode
        self.size = 0
        self.descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.digest = new_sha256()

    def discard(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        remove(self.place)
        remove(f"{self.place}.pyc")


class LiveFolder:
    """*folder*, and *staging* beside it for what has been received and is not yet visible. *work* shows its files."""

    def __init__(self, loop: EventLoop, folder: str, staging: str, work: Optional[WorkFolder] = None) -> None:
        self.folder = folder
        self._work = work
        self._loop = loop
        self._staging = staging
        self._staged: Dict[str, Staged] = {}
        self._arriving: Set[str] = set()
        self._deleted: Set[str] = set()
        self._broken: Dict[str, str] = {}
        self._count = 0

    def fill(self, source: str, *, hashed: bool) -> Dict[str, Optional[str]]:
        """Make the folder a copy of *source*. Return its files with their SHA-256, without byte-code.

        The SHA-256 is None for all unless *hashed*. Raises OSError.
        """
        os.listdir(source)  # raises where there is no such folder; os.walk does not
        for folder in (self.folder, self._staging):
            remove(folder)
            os.makedirs(folder, 0o755)
        files: Dict[str, Optional[str]] = {}
        for folder, folders, names in os.walk(source):
            inner = os.path.relpath(folder, source)
            for name in folders:
                original = os.path.join(folder, name)
                if os.path.islink(original):
                    names.append(name)
                else:
                    os.mkdir(os.path.normpath(os.path.join(self.folder, inner, name)))
            for name in names:
                path = os.path.normpath(os.path.join(inner, name))
                original = os.path.join(folder, name)
                _copy(original, os.path.join(self.folder, path))
                if not name.endswith(".pyc"):
                    files[path] = _hash(original) if hashed else None
        return files

    def put(self, message: Message, payload: bytes) -> None:
        """Stage one piece of a new file. Raises Refused, RequestError, OSError."""
        path = self._require_inside(message.get("path"))
        offset, mode, sha256 = parse_put(message)
        if 0 < available_bytes() < len(payload) + _RESERVE_BYTES:
            raise Refused("the camera has no memory left for it")
        staged = self._staged.get(path)
        if not offset:
            if staged is not None:
                self._unstage(path)
            self._require_room()
            if len(self._arriving) >= _MAXIMUM_ARRIVING:
                raise Refused("too many files are arriving at a time")
            self._count += 1
            place = os.path.join(self._staging, str(self._count))
            staged = self._staged[path] = Staged(place, mode & 0o777 | 0o400)
            self._arriving.add(path)
            self._deleted.discard(path)
        elif staged is None or staged.descriptor < 0 or staged.size != offset:
            raise Refused(f"a piece of {path} came out of order")
        view = memoryview(payload)
        while view:
            view = view[os.write(staged.descriptor, view) :]
        staged.size += len(payload)
        staged.digest.update(payload)
        if not message.get("more"):
            os.close(staged.descriptor)
            staged.descriptor = -1
            self._arriving.discard(path)
            if sha256 not in (None, staged.digest.hexdigest()):
                raise Refused(f"{path} did not arrive as it was sent")

    def delete(self, path: object) -> None:
        """Stage the removal of a file. Raises Refused."""
        path = self._require_inside(path)
        if path in self._staged:
            self._unstage(path)
        self._require_room()
        self._deleted.add(path)

    def break_batch(self, path: object, reason: str) -> None:
        """Have the next `commit` that does not hold *path* apply nothing of the batch."""
        # A name that no file can have is not kept: it may be long. Nor are very many.
        fits = isinstance(path, str) and len(path) <= _LONGEST_PATH and len(self._broken) < _MAXIMUM_BROKEN
        name = str(path) if fits else ""
        self._broken.setdefault(name, reason)
        if name in self._staged:
            self._unstage(name)

    def discard(self, path: Optional[str] = None) -> None:
        """Forget what is staged for *path*; for all, if none is named."""
        for name in list(self._staged) if path is None else [path]:
            if name in self._staged:
                self._unstage(name)
        if path is None:
            self._deleted.clear()
            self._broken.clear()
        else:
            self._deleted.discard(path)
            self._broken.pop(path, None)

    def commit(self, on_end: Callable[[Message], None], held: FrozenSet[str] = frozenset()) -> Optional[int]:
        """Check what is staged and put it in place; *on_end* is called with the answer, perhaps at once.

        The files *held* stay staged for a later commit. Return the number of the process that checks, or None when
        there is nothing to check.
        """
        started = time.monotonic()
        staged = {path: file for path, file in self._staged.items() if path not in held}
        broken = next((reason for path, reason in self._broken.items() if path not in held), None)
        deleted = self._deleted
        self._staged = {path: file for path, file in self._staged.items() if path in held}
        self._broken = {path: reason for path, reason in self._broken.items() if path in held}
        self._deleted = set()
        self._arriving &= held

        def give_up(answer: Message) -> None:
            for file in staged.values():
                file.discard()
            on_end(answer)

        def end(found: Optional[Dict[str, Any]]) -> None:
            if found is not None:
                give_up({"type": Answer.REFUSED, **found})
                return
            if self._work is not None:
                self._work.note(staged, deleted)
            try:
                self._apply(staged, deleted)
            except OSError as error:
                # Not of the kind `put`: some changes may be in place.
                give_up(_make_error(ErrorKind.COMMIT, f"{error.strerror}: {error.filename}"))
                return
            changed = len(staged) + len(deleted)
            on_end({"type": Answer.COMMITTED, "changed": changed, "seconds": round(time.monotonic() - started, 4)})

        unfinished = [path for path, file in staged.items() if file.descriptor >= 0]
        if broken is not None or unfinished:
            give_up(_make_error(ErrorKind.PUT, broken or f"{unfinished[0]} did not arrive completely"))
            return None
        sources = [path for path in staged if path.endswith(".py")]
        if not sources:
            end(None)
            return None
        files = [(path, staged[path].place, self._place(path), f"{staged[path].place}.pyc") for path in sources]
        try:
            return start_check(self._loop, files, end)
        except OSError as error:
            give_up(_make_error(ErrorKind.PUT, f"the change cannot be checked: {error.strerror}"))
            return None

    def remove(self) -> None:
        """Remove the folder and what is staged."""
        for file in self._staged.values():
            file.discard()
        remove(self.folder)
        remove(self._staging)

    def _apply(self, staged: Dict[str, Staged], deleted: Set[str]) -> None:
        for path in sorted(deleted):
            remove(self._place(path))
            remove(_cached(self._place(path)))
            self._remove_empty(os.path.dirname(path))
        for path, file in staged.items():
            os.chmod(file.place, file.mode)
            place = self._place(path)
            self._make_room(path)
            os.replace(file.place, place)
            if path.endswith(".py"):
                cached = _cached(place)
                fresh = f"{file.place}.pyc"
                if os.path.exists(fresh):
                    os.makedirs(os.path.dirname(cached), exist_ok=True)
                    os.replace(fresh, cached)
                else:
                    remove(cached)  # it is unchecked byte-code: Python would use the old one for the new source

    def _make_room(self, path: str) -> None:
        """Remove files where *path* needs folders, and a folder where *path* is to be."""
        parts = path.split("/")
        for end in range(1, len(parts)):
            place = self._place("/".join(parts[:end]))
            if os.path.islink(place) or not os.path.isdir(place):
                remove(place)
                os.mkdir(place)
        place = self._place(path)
        if os.path.isdir(place) and not os.path.islink(place):
            remove(place)

    def _remove_empty(self, path: str) -> None:
        while path:
            try:
                remove(self._place(f"{path}/__pycache__"), only_empty=True)
                os.rmdir(self._place(path))
            except OSError:
                return
            path = os.path.dirname(path)

    def _require_inside(self, path: object) -> str:
        if not isinstance(path, str) or not 0 < len(path) <= _LONGEST_PATH or not is_text(path):
            raise Refused("a file without a name")
        parts = path.split("/")
        if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or parts[0] == "__pycache__":
            raise Refused(f"{path} is not in the app's folder")
        return path

    def _place(self, path: str) -> str:
        return os.path.join(self.folder, path)

    def _require_room(self) -> None:
        if len(self._staged) + len(self._deleted) >= _MAXIMUM_CHANGES:
            raise Refused(f"a batch has at most {_MAXIMUM_CHANGES} files")

    def _unstage(self, path: str) -> None:
        self._staged.pop(path).discard()
        self._arriving.discard(path)


def _make_error(kind: str, message: str) -> Message:
    return {"type": Answer.ERROR, "kind": kind, "message": message, "hint": None}


def _cached(place: str) -> str:
    # The same as importlib.util.cache_from_source, whose module would cost the agent more memory than this line.
    folder, name = os.path.split(place)
    return os.path.join(folder, "__pycache__", f"{name[:-3]}.{sys.implementation.cache_tag}.pyc")


def _copy(source: str, target: str) -> None:
    """Make *target* a hard link to *source*, or, on another file system, a copy or a symbolic link of a large file."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES):
            raise
    if os.path.getsize(source) > _COPIED_BYTES and not source.endswith((".py", ".pyc", ".so")):
        os.symlink(os.path.abspath(source), target)
    else:
        with open(source, "rb", buffering=0) as reader, open(target, "xb", buffering=0) as writer:
            while data := reader.read(_CHUNK_BYTES):
                writer.write(data)
        os.chmod(target, stat.S_IMODE(os.stat(source).st_mode))


def remove(path: str, *, only_empty: bool = False, within: Optional[int] = None) -> None:
    """Remove a file, or a folder with everything in it. Does nothing where there is none. Raises OSError.

    With *only_empty*, a folder that is not empty is an error. *within* is a descriptor of the folder that *path* is
    relative to. No link is followed, whatever changes meanwhile.
    """
    try:
        try:
            os.unlink(path, dir_fd=within)
        except IsADirectoryError:
            if not only_empty:
                _empty(path, within)
            os.rmdir(path, dir_fd=within)
    except FileNotFoundError:
        return


def _empty(path: str, within: Optional[int]) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    try:
        for name in os.listdir(folder):
            remove(name, within=folder)
    finally:
        os.close(folder)


def new_sha256() -> Any:
    """Return a hash object of Python's own C module: OpenSSL takes as much memory as the whole agent."""
    try:
        module = __import__("_sha256" if sys.version_info < (3, 12) else "_sha2")
    except ImportError:
        import hashlib as module
    return module.sha256()


def _hash(path: str) -> str:
    digest = new_sha256()
    with open(path, "rb", buffering=0) as stream:
        while True:
            data = stream.read(_CHUNK_BYTES)
            if not data:
                return str(digest.hexdigest())
            digest.update(data)
