"""The files of a package in the order of the vendor's tool, and the archive of them: tar, then gzip."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from incamera.eap.tar import Member, write_tar

# tar --exclude '*~' --exclude-vcs: each name is left out at any depth, a folder with all that is in it.
_BACKUP = "~"
_VERSION_CONTROL = frozenset(
    [
        ".arch-ids",
        ".bzr",
        ".bzrignore",
        ".bzrtags",
        "CVS",
        ".cvsignore",
        "_darcs",
        ".git",
        ".gitattributes",
        ".gitignore",
        ".gitmodules",
        ".hg",
        ".hgignore",
        ".hgtags",
        "RCS",
        "SCCS",
        ".svn",
        "{arch}",
        "=RELEASE-ID",
        "=meta-update",
        "=update",
    ]
)
_LEVEL = 9
_DEFLATE_ONLY = -15
# How far deflate looks back, and how much of the archive is compressed in one go; all in bytes.
_WINDOW = 32 * 1024
_PIECE = 1024 * 1024
_MOST_WORKERS = 8
# gzip --no-name -9: no name, no time, slowest compression, Unix.
_GZIP_HEADER = bytes.fromhex("1f8b0800000000000203")
_FOLDER_MODE = 0o755
# What nobody but the owner may do with a file: a camera makes no proxy rules for a package that others could change.
_WRITABLE_BY_OTHERS = 0o022


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The files of a package by their paths, and the *operands*: the names that tar is called with, in their order.

    *folders* are those without a file in them. An operand that is a folder stands for all that is in it.
    """

    files: Mapping[str, Member]
    operands: Sequence[str]
    folders: Sequence[str] = ()


@dataclass(slots=True)
class Listing:
    """The members of an archive in order, and the paths that were left out of it."""

    members: list[Member] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)


def plan_operands(
    *,
    app_name: str,
    others: Sequence[str],
    has: Callable[[str], bool],
    post_install: str = "",
    pre_uninstall: str = "",
) -> list[str]:
    """Return what the vendor's tool packs, in its order. *others* are additional files; *has* tells what is there."""
    first = [app_name, "package.conf", "param.conf", "LICENSE", "manifest.json", post_install]
    last = ["html", "declarations", "lib", "cgi.conf"]
    return [
        *(name for name in first if name and has(name)),
        *others,
        *([pre_uninstall] if pre_uninstall else []),
        *(name for name in last if has(name)),
    ]


def is_excluded(name: str) -> bool:
    """Return whether the vendor's tool leaves out a file or folder called *name*, without a word."""
    return name.endswith(_BACKUP) or name in _VERSION_CONTROL


def list_members(contents: Contents) -> Listing:
    """Return the members in the order of `tar --sort name`: by the bytes of each name, below each operand."""
    children: dict[str, set[str]] = {}
    for path in (*contents.files, *contents.folders):
        while "/" in path:
            folder, _, name = path.rpartition("/")
            children.setdefault(folder, set()).add(name)
            path = folder
    folders = {*children, *contents.folders}
    listing = Listing()

    def add(path: str) -> None:
        if path in folders:
            listing.members.append(Member(path=path, mode=_FOLDER_MODE))
            for name in sorted(children.get(path, ()), key=lambda name: name.encode("utf-8", "surrogateescape")):
                visit(f"{path}/{name}", name)
        else:
            listing.members.append(contents.files[path])

    def visit(path: str, name: str) -> None:
        if is_excluded(name):
            listing.excluded.append(path)
        else:
            add(path)

    for operand in contents.operands:
        if any(is_excluded(name) for name in operand.split("/")):
            listing.excluded.append(operand)
        else:
            add(operand)
    return listing


def private_mode(mode: int) -> int:
    """Return *mode* without the permission for group and others to write."""
    return mode & ~_WRITABLE_BY_OTHERS & 0o777


@dataclass(frozen=True, slots=True)
class Packed:
    """Sizes in bytes and digests of an archive: of the tar inside, which is promised, and of the whole file."""

    tar_sha256: str
    tar_bytes: int
    sha256: str
    bytes: int


class Digesting:
    """A stream that hashes and counts what is written to *target*."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self.bytes += len(data)
        self._target.write(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class GzipStream:
    """Compresses what is written to *target*, as `gzip --no-name -9` would with zlib's deflate.

    Pieces of equal size are compressed side by side, each with the end of the one before as its dictionary. So the
    result is the same however many processors there are. `finish` must be called, also after an error.
    """

    def __init__(self, target: Digesting) -> None:
        self._target = target
        self._piece = bytearray()
        self._before = b""
        self._checksum = 0
        self._size = 0
        workers = min(os.cpu_count() or 1, _MOST_WORKERS)
        self._workers = ThreadPoolExecutor(workers)
        self._most_pending = 2 * workers
        self._pending: deque[Future[bytes]] = deque()
        target.write(_GZIP_HEADER)

    def write(self, data: bytes) -> None:
        self._checksum = zlib.crc32(data, self._checksum)
        self._size += len(data)
        self._piece += data
        while len(self._piece) >= _PIECE:
            self._submit(bytes(self._piece[:_PIECE]), zlib.Z_SYNC_FLUSH)
            del self._piece[:_PIECE]

    def _submit(self, piece: bytes, flush: int) -> None:
        self._pending.append(self._workers.submit(_compress, piece, self._before, flush))
        self._before = piece[-_WINDOW:]
        while len(self._pending) > self._most_pending:
            self._target.write(self._pending.popleft().result())

    def finish(self) -> None:
        self._submit(bytes(self._piece), zlib.Z_FINISH)
        with self._workers:
            for future in self._pending:
                self._target.write(future.result())
        self._target.write(struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF))


def _compress(piece: bytes, before: bytes, flush: int) -> bytes:
    """Return *piece* as deflate's blocks, which may point back into *before*."""
    deflate = zlib.compressobj(_LEVEL, wbits=_DEFLATE_ONLY, zdict=before)
    return deflate.compress(piece) + deflate.flush(flush)


def pack(members: Iterable[Member], mtime: int, out: Path, advance: Callable[[int], None] = lambda _: None) -> Packed:
    """Write the package *out* of *members*. *advance* is called with the bytes of the tar that are done since."""
    tar_digest = hashlib.sha256()
    with out.open("wb") as stream:
        target = Digesting(stream)
        gzip = GzipStream(target)

        def write(data: bytes) -> None:
            tar_digest.update(data)
            gzip.write(data)
            advance(len(data))

        try:
            tar_bytes = write_tar(members, mtime, write)
        finally:
            gzip.finish()
    return Packed(tar_digest.hexdigest(), tar_bytes, target.hexdigest(), target.bytes)
