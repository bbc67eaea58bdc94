"""Read a folder from elsewhere: an unpacked package, a bundle, a wheel's files. Nothing outside of it is ever opened.

Its links may lead anywhere, and it may have FIFOs and devices, which would hang or fill the memory of a reader.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

from incamera.archives.limits import BadArchive

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder has: its regular `files`, its symbolic `links` with their targets, and what could not be read."""

    files: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def list_folder(root: Path) -> Listing:
    """Return the files and links below *root*. Links are not followed; FIFOs and devices are left out."""
    found = Listing()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    path = f"{folder}{entry.name}"
                    if entry.is_symlink():
                        found.links[path] = os.readlink(entry.path)  # noqa: PTH115 - a target as it stands there
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{path}/")
                    elif entry.is_file(follow_symlinks=False):
                        found.files.append(path)
        except OSError as error:
            found.problems[folder.rstrip("/") or "."] = error.strerror or str(error)
    found.files.sort()
    return found


class FolderReader:
    """Opens files below *root*, each as `open_inside` does. It keeps the folder of the last one open for the next."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = ""
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def open(self, path: str) -> BinaryIO:
        folder, _, name = path.rpartition("/")
        parts = path.split("/")
        if "" in parts or "." in parts or ".." in parts:
            raise BadArchive(f"{path} leads outside")
        if self._descriptor is None or folder != self._folder:
            self.__exit__()
            self._descriptor = _open_folder(self._root, parts[:-1])
            self._folder = folder
        # Opening a device can already do something.
        _require_regular(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False))
        return _open_stream(os.open(name, _FILE, dir_fd=self._descriptor))


def _open_folder(root: Path, folders: Sequence[str]) -> int:
    # The root itself is the user's own choice, and may be a link.
    parent = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=parent)
            os.close(parent)
            parent = inner
    except BaseException:
        os.close(parent)
        raise
    return parent


def open_inside(root: Path, path: str) -> BinaryIO:
    """Return the open regular file *path* below *root*.

    No part of *path* may be a link. Raises OSError, or BadArchive for anything but a regular file.
    """
    with FolderReader(root) as reader:
        return reader.open(path)


def open_regular(path: Path) -> BinaryIO:
    """Return the open file *path*, which may be a link. Raises OSError, or BadArchive when it is not a regular file."""
    _require_regular(path.stat())
    return _open_stream(os.open(path, _FILE & ~os.O_NOFOLLOW))


def read_inside(root: Path, path: str, *, limit: int) -> bytes:
    """Return the content of the regular file *path* below *root*, as `open_inside` opens it.

    Raises OSError, or BadArchive when it is no regular file, or longer than *limit* bytes.
    """
    with open_inside(root, path) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise BadArchive(f"{path} is longer than {limit} bytes")
    return data


def _open_stream(descriptor: int) -> BinaryIO:
    try:
        status = os.fstat(descriptor)
        _require_regular(status)
    except BaseException:
        os.close(descriptor)
        raise
    if not status.st_size:  # as the files of /proc, which have no end, or wait for one
        os.close(descriptor)
        return io.BytesIO()
    return os.fdopen(descriptor, "rb")


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadArchive("it is a link, a device or a folder, and not a file")
