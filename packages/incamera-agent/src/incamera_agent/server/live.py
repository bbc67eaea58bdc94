"""The live folder: the app as it is being edited. A batch of changes is staged, checked, then put there."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time

from incamera_agent.server import compile_check as check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Set

    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop

# What is larger isn't copied into RAM: it stays where the bundle has it.
_COPIED_BYTES = 256 << 10
_CHUNK = 1 << 16


class Refused(Exception):
    """A change that cannot be."""


class Staged:
    __slots__ = ("descriptor", "digest", "mode", "place", "size")

    def __init__(self, place: str, mode: int) -> None:
        self.place = place
        self.mode = mode
        self.size = 0
        self.descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.digest = new_sha256()


class Live:
    def __init__(self, loop: Loop, folder: str, staging: str) -> None:
        self.folder = folder
        self._loop = loop
        self._staging = staging
        self._staged: Dict[str, Staged] = {}
        self._deleted: Set[str] = set()
        self._broken: Optional[str] = None
        self._count = 0

    def begin(self, source: str, *, hashed: bool) -> Dict[str, Optional[str]]:
        """Make the live folder like *source*; return its files' digests, without byte-code. Raises OSError."""
        os.listdir(source)  # or there is nothing to begin with, of which walking through it would not tell
        for folder in (self.folder, self._staging):
            remove(folder)
            os.makedirs(folder, 0o755)
        files: Dict[str, Optional[str]] = {}
        for folder, folders, names in os.walk(source):
            inner = os.path.relpath(folder, source)
            for name in folders:
                there = os.path.join(folder, name)
                if os.path.islink(there):
                    names.append(name)
                else:
                    os.mkdir(os.path.normpath(os.path.join(self.folder, inner, name)))
            for name in names:
                path = os.path.normpath(os.path.join(inner, name))
                there = os.path.join(folder, name)
                _copy(there, os.path.join(self.folder, path))
                if not name.endswith(".pyc"):
                    files[path] = _hash(there) if hashed else None
        return files

    def put(self, message: Message, payload: bytes) -> None:
        """Take one piece of a new file. Raises Refused, OSError."""
        path = self._require_inside(message["path"])
        staged = self._staged.get(path)
        if not message.get("offset"):
            if staged is not None:
                self._drop(path)
            self._count += 1
            mode = stat.S_IMODE(int(message.get("mode", 0o644))) & 0o777 | 0o400
            staged = self._staged[path] = Staged(os.path.join(self._staging, str(self._count)), mode)
            self._deleted.discard(path)
        elif staged is None or staged.descriptor < 0 or staged.size != message["offset"]:
            raise Refused(f"a piece of {path} came out of order")
        view = memoryview(payload)
        while view:
            view = view[os.write(staged.descriptor, view) :]
        staged.size += len(payload)
        staged.digest.update(payload)
        if not message.get("more"):
            os.close(staged.descriptor)
            staged.descriptor = -1
            if message.get("sha256") not in (None, staged.digest.hexdigest()):
                raise Refused(f"{path} did not arrive as it was sent")

    def delete(self, path: str) -> None:
        path = self._require_inside(path)
        if path in self._staged:
            self._drop(path)
        self._deleted.add(path)

    def break_off(self, why: str) -> None:
        """Nothing of the batch that is being sent may become visible."""
        self._broken = self._broken or why

    def discard(self) -> None:
        """Forget the batch that is being sent."""
        for path in list(self._staged):
            self._drop(path)
        self._deleted.clear()
        self._broken = None

    def commit(self, on_end: Callable[[Message], None]) -> Optional[int]:
        """Check what is staged and make it visible; *on_end* gets the answer. Returns the child that checks, if any."""
        began = time.monotonic()
        staged, deleted, broken = self._staged, self._deleted, self._broken
        self._staged, self._deleted, self._broken = {}, set(), None
        unfinished = [path for path, file in staged.items() if file.descriptor >= 0]
        if broken is not None or unfinished:
            for file in staged.values():
                _discard(file)
            on_end({"type": "error", "kind": "put", "message": broken or f"{unfinished[0]} has not come to its end"})
            return None

        def end(found: Optional[Dict[str, Any]]) -> None:
            if found is not None:
                for file in staged.values():
                    _discard(file)
                on_end({"type": "refused", **found})
                return
            try:
                self._apply(staged, deleted)
            except OSError as error:
                for file in staged.values():
                    _discard(file)
                # Another kind than before: some of it is there.
                on_end({"type": "error", "kind": "commit", "message": f"{error.strerror}: {error.filename}"})
                return
            changed = len(staged) + len(deleted)
            on_end({"type": "committed", "changed": changed, "seconds": round(time.monotonic() - began, 4)})

        sources = [path for path in staged if path.endswith(".py")]
        if not sources:
            end(None)
            return None
        files = [(path, staged[path].place, self._place(path), f"{staged[path].place}.pyc") for path in sources]
        try:
            return check.begin(self._loop, files, end)
        except OSError as error:
            for file in staged.values():
                _discard(file)
            on_end({"type": "error", "kind": "put", "message": f"it cannot be checked: {error.strerror}"})
            return None

    def remove(self) -> None:
        for file in self._staged.values():
            _discard(file)
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
                    remove(cached)  # the old one would be taken for the new one's

    def _make_room(self, path: str) -> None:
        """Where a folder shall be is no file, and the other way round."""
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
        if not isinstance(path, str) or not path or "\0" in path:
            raise Refused("a file without a name")
        parts = path.split("/")
        if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or parts[0] == "__pycache__":
            raise Refused(f"{path} does not lie in the app's folder")
        return path

    def _place(self, path: str) -> str:
        return os.path.join(self.folder, path)

    def _drop(self, path: str) -> None:
        _discard(self._staged.pop(path))


def _discard(file: Staged) -> None:
    if file.descriptor >= 0:
        os.close(file.descriptor)
        file.descriptor = -1
    remove(file.place)
    remove(f"{file.place}.pyc")


def _cached(place: str) -> str:
    # As importlib.util has it, which would cost the agent more memory than this line.
    folder, name = os.path.split(place)
    return os.path.join(folder, "__pycache__", f"{name[:-3]}.{sys.implementation.cache_tag}.pyc")


def _copy(source: str, target: str) -> None:
    """Link where that costs nothing and cannot be noticed, else copy what is small."""
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
            while data := reader.read(_CHUNK):
                writer.write(data)
        os.chmod(target, stat.S_IMODE(os.stat(source).st_mode))


def remove(path: str, *, only_empty: bool = False) -> None:
    """Remove a file, or a folder with all in it; what isn't there is removed already."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            if only_empty:
                os.rmdir(path)
            else:
                for folder, folders, names in os.walk(path, topdown=False):
                    for name in [*names, *folders]:
                        remove(os.path.join(folder, name), only_empty=True)
                os.rmdir(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return


def new_sha256() -> Any:
    """Return a hash without OpenSSL, which alone takes as much memory as all of the agent."""
    try:
        module = __import__("_sha256" if sys.version_info < (3, 12) else "_sha2")
    except ImportError:
        import hashlib as module
    return module.sha256()


def _hash(path: str) -> str:
    digest = new_sha256()
    with open(path, "rb", buffering=0) as stream:
        while True:
            data = stream.read(_CHUNK)
            if not data:
                return str(digest.hexdigest())
            digest.update(data)
