"""Changes to the user's own files: shown as a diff, and made all or not at all."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from incamera.disk import users_umask
from incamera.errors import ConfigError, StoreError


@dataclass(frozen=True, slots=True)
class FileChange:
    """The contents of a file *before* and *after* a change. *before* is None for a new file."""

    path: Path
    before: bytes | None
    after: bytes


def describe(changes: Sequence[FileChange], folder: Path) -> str:
    """Return the *changes* as a unified diff, with paths relative to *folder*."""
    parts: list[str] = []
    for change in changes:
        name = os.path.relpath(change.path, folder)
        before = [] if change.before is None else _lines(change.before)
        source = os.devnull if change.before is None else name
        parts += difflib.unified_diff(before, _lines(change.after), source, name, lineterm="")
    return "\n".join(parts)


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines()


def read_bytes(path: Path) -> bytes | None:
    """Return the contents of *path*; None where there is no such file. Raises ConfigError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error


def apply_changes(changes: Sequence[FileChange]) -> None:
    """Make all *changes*. When one fails, or Ctrl-C comes, those before it are undone.

    Raises ConfigError when a file is no longer what it was, StoreError when one cannot be written.
    """
    for change in changes:
        if read_bytes(change.path) != change.before:
            raise ConfigError(f"{change.path} was changed by another program meanwhile", hint="try it again")
    begun: list[FileChange] = []
    try:
        for change in changes:
            begun.append(change)
            _write(change.path, change.after)
    except BaseException as failure:
        for change in reversed(begun):
            with suppress(OSError):
                if change.before is None:
                    change.path.unlink(missing_ok=True)
                elif change.path.read_bytes() != change.before:
                    _write(change.path, change.before)
        if isinstance(failure, OSError):
            raise StoreError(
                f"cannot write {begun[-1].path}: {failure.strerror}; nothing was changed",
                hint="make the project's folder writable, or free some space on its disk",
            ) from failure
        raise


def _write(path: Path, data: bytes) -> None:
    """Write *data* to *path* completely or not at all, with the mode that the file has, or that the user's umask gives.

    A symbolic link stays one: the file that it leads to is written.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with users_umask():
        umask = os.umask(0)
        os.umask(umask)
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~umask
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
