"""Watch a project's folder for changes, and read the state of its files."""

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
from functools import partial
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.files import UNREADABLE_HINT, is_left_out, project_files

# Changes are reported when none has come for the first time, or after the second at the latest.
_STEP_MILLISECONDS, _DEBOUNCE_MILLISECONDS = 20, 40
# How often the files are compared where the kernel reports no changes (a network file system, no watches left).
_POLL_MILLISECONDS = 300
# A file that was written this shortly before it was read may be written again without a new modification time.
_RACY_NANOSECONDS = 50_000_000
_CHUNK = 1 << 20


@contextmanager
def watching(
    folder: Path,
    on_change: Callable[[frozenset[str]], None],
    warn: Callable[[str], None],
    *,
    wanted: Callable[[str], bool] | None = None,
    recursive: bool = True,
) -> Iterator[None]:
    """Call *on_change* with the paths that change below *folder* while the block runs: relative to it, with `/`.

    Paths for which *wanted* returns False are left out; without it, those that no app has (`concerns_app`). Without
    *recursive*, only files in *folder* count.
    It is called in another thread. *warn* is called with a message when the kernel cannot report changes, so that the
    files are polled instead.
    """
    import watchfiles  # lazy: it imports multiprocessing, and `run` only compares the files

    stop, ready = threading.Event(), threading.Event()
    own_files = own_output()

    def watch() -> None:
        def matters(_: watchfiles.Change, path: str) -> bool:
            if not (wanted or concerns_app)(Path(os.path.relpath(path, folder)).as_posix()):
                return False
            return not (own_files and _identity(path) in own_files)

        def listen(*, poll: bool | None) -> None:
            for changes in watchfiles.watch(
                folder,
                watch_filter=matters,
                debounce=_DEBOUNCE_MILLISECONDS,
                step=_STEP_MILLISECONDS,
                rust_timeout=_POLL_MILLISECONDS,
                # The first result is an empty one that comes at once: the watch is active.
                yield_on_timeout=True,
                stop_event=stop,
                raise_interrupt=False,
                force_polling=poll,
                poll_delay_ms=_POLL_MILLISECONDS,
                recursive=recursive,
                ignore_permission_denied=True,
            ):
                ready.set()
                if changes:
                    on_change(frozenset(Path(os.path.relpath(path, folder)).as_posix() for _, path in changes))

        try:
            listen(poll=None)
        except (OSError, RuntimeError) as error:
            if not stop.is_set():
                warn(f"the kernel cannot watch {folder} ({error}), so its files are polled")
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
    """Return device and inode of the files that our output is redirected to.

    Such a file may lie in the project. If it counted as a change, our answer would be the next change.
    """
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
    """Whether a change of *path*, relative to the project, may change the app or its build."""
    return path != "." and not any(is_left_out(part) for part in Path(path).parts)


@dataclass(frozen=True, slots=True)
class AppFile:
    """A file of the app, as it was on the host when it was read."""

    source: Path
    sha256: str
    executable: bool


class Snapshots:
    """Reads the state of a project's files, again and again: of those that did not change only the status is read."""

    def __init__(self, folder: Path, find_files: Callable[[], list[str]] | None = None) -> None:
        self._folder = folder
        self._find_files = find_files or partial(project_files, folder)
        self._known: dict[str, tuple[tuple[int, ...], AppFile]] = {}
        self._own_output = own_output()

    def take(self) -> dict[str, AppFile]:
        """Return the app's files by their paths. Raises ConfigError for one that cannot be read."""
        now: dict[str, tuple[tuple[int, ...], AppFile]] = {}
        for path in self._find_files():
            source = self._folder / path
            try:
                status = source.stat()
                if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in self._own_output:
                    continue
                mark = (status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)
                known = self._known.get(path)
                if known is not None and known[0] == mark:
                    now[path] = known
                    continue
                began = time.time_ns()
                file = AppFile(source, file_digest(source), bool(status.st_mode & 0o100))
            except FileNotFoundError:
                continue  # removed just now, which is reported as a change, too
            except OSError as error:
                raise ConfigError(
                    f"cannot read {source}, which belongs to the app: {error.strerror}",
                    hint=UNREADABLE_HINT,
                ) from error
            racy = max(status.st_mtime_ns, status.st_ctime_ns) > began - _RACY_NANOSECONDS
            now[path] = (() if racy else mark, file)
        self._known = now
        return {path: file for path, (_, file) in now.items()}


def file_digest(path: Path) -> str:
    """Return the sha256 of the file *path*. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def changed_paths(before: Mapping[str, AppFile], after: Mapping[str, AppFile]) -> list[str]:
    """Return the paths that were added, removed or changed, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def looks_unfinished(path: Path) -> bool:
    """Whether *path* may be half saved: editors empty a file before they write it, some in several pieces.

    True for an empty source file, and for Python that is no valid syntax.
    """
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
    """Return when the last of *paths* was saved, in seconds as `time.time` counts them.

    Returns *otherwise*, the time when the change was noticed, when the files are gone or their times are implausible.
    """
    times = []
    for path in paths:
        try:
            times.append(path.stat().st_ctime)
        except OSError:
            continue
    latest = max(times, default=otherwise)
    # Times on a network share are of the server's clock, which may be wrong.
    return latest if otherwise - 2 < latest <= otherwise else otherwise
