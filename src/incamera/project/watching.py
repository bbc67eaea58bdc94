"""Hearing of changes below a project's folder, and what its files are now."""

from __future__ import annotations

import ast
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.files import is_left_out, project_files

# How often the kernel's news are collected, and for how long at most, in milliseconds.
_STEP, _DEBOUNCE = 20, 40
# Where the kernel tells nothing (a network file system, no watches left), the files are looked at so often.
_POLL_MILLISECONDS = 300
# A file that was written so shortly before it was read may be written again without its time changing.
_RACY_NANOSECONDS = 50_000_000
_CHUNK = 1 << 20


@contextmanager
def watching(folder: Path, notice: Callable[[frozenset[str]], None], warn: Callable[[str], None]) -> Iterator[None]:
    """Have *notice* told of what changes below *folder* while the block lasts: paths relative to it, with `/`.

    It is called in a thread of ours. *warn* is told when the files must be looked at again and again instead.
    """
    stop, ready = threading.Event(), threading.Event()
    ours = own_output()

    def watch() -> None:
        import watchfiles

        def wanted(_: watchfiles.Change, path: str) -> bool:
            return concerns_app(os.path.relpath(path, folder)) and not (ours and _identity(path) in ours)

        def listen(*, poll: bool | None) -> None:
            for changes in watchfiles.watch(
                folder,
                watch_filter=wanted,
                debounce=_DEBOUNCE,
                step=_STEP,
                rust_timeout=_POLL_MILLISECONDS,
                # The first one comes at once, and says that the watch stands.
                yield_on_timeout=True,
                stop_event=stop,
                raise_interrupt=False,
                force_polling=poll,
                poll_delay_ms=_POLL_MILLISECONDS,
                ignore_permission_denied=True,
            ):
                ready.set()
                if changes:
                    notice(frozenset(Path(os.path.relpath(path, folder)).as_posix() for _, path in changes))

        try:
            listen(poll=None)
        except (OSError, RuntimeError) as error:
            if not stop.is_set():
                warn(f"cannot be told of changes in {folder} ({error}); looking for them instead")
                listen(poll=True)

    thread = threading.Thread(target=watch, name="incamera-watch", daemon=True)
    thread.start()
    try:
        ready.wait(2)
        yield
    finally:
        stop.set()
        thread.join(2)


def own_output() -> frozenset[tuple[int, int]]:
    """Return which files we print to: one of them in the project must not be taken for a change that we answer."""
    found = set()
    for descriptor in (1, 2):
        try:
            status = os.fstat(descriptor)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def concerns_app(path: str) -> bool:
    """Whether a change of *path*, relative to the project, can change the app or what it is built from."""
    return path != "." and not any(is_left_out(part) for part in Path(path).parts)


@dataclass(frozen=True, slots=True)
class AppFile:
    """A file of the app as it is on the host now."""

    source: Path
    sha256: str
    executable: bool


class Snapshots:
    """What a project's files are, again and again: only those that changed are read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, ...], AppFile]] = {}
        self._ours = own_output()

    def take(self) -> dict[str, AppFile]:
        """Return the app's files by their paths. Raises ConfigError for one that cannot be read."""
        now: dict[str, tuple[tuple[int, ...], AppFile]] = {}
        for path in project_files(self._folder):
            source = self._folder / path
            try:
                status = source.stat()
                if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in self._ours:
                    continue
                mark = (status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)
                known = self._known.get(path)
                if known is not None and known[0] == mark:
                    now[path] = known
                    continue
                began = time.time_ns()
                file = AppFile(source, file_digest(source), bool(status.st_mode & 0o100))
            except FileNotFoundError:
                continue  # gone since: its removal is told of, too
            except OSError as error:
                raise ConfigError(
                    f"cannot read {source}, which belongs to the app: {error.strerror}",
                    hint="mend or remove it; what is not the app's goes into a folder whose name begins with a dot",
                ) from error
            racy = max(status.st_mtime_ns, status.st_ctime_ns) > began - _RACY_NANOSECONDS
            now[path] = (() if racy else mark, file)
        self._known = now
        return {path: file for path, (_, file) in now.items()}


def file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def changed_paths(before: Mapping[str, AppFile], after: Mapping[str, AppFile]) -> list[str]:
    """Return the paths that came, went, or are others now."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def looks_unfinished(path: Path) -> bool:
    """Whether *path* may be in the middle of being saved: editors empty a file, then write it, some in pieces."""
    if path.suffix not in (".py", ".pyi", ".toml", ".c", ".h", ".pyx", ".pxd", ".cpp"):
        return False
    try:
        text = path.read_bytes()
    except OSError:
        return False
    if not text:
        return path.name not in ("__init__.py", "py.typed")
    if path.suffix != ".py":
        return False
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return True
    except (RecursionError, MemoryError):
        return False
    return False


def saved_at(paths: list[Path], otherwise: float) -> float:
    """Return when the last of *paths* was saved (`time.time`), *otherwise* where they don't tell."""
    times = []
    for path in paths:
        try:
            times.append(path.stat().st_ctime)
        except OSError:
            continue
    latest = max(times, default=otherwise)
    # The time of a file's own computer may be another, as on a network share.
    return latest if otherwise - 2 < latest <= otherwise else otherwise
