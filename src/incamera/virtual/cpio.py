"""Writes a cpio archive in the "newc" format, for the kernel's initramfs. Equal members give equal bytes."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file, folder, link or device in the archive. It belongs to root, and its time is 1970-01-01.

    `mode`: its kind and permissions. `data`: a file's content, or a link's target. `device`: major and minor number.
    """

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(path: str, data: bytes, permissions: int = 0o644) -> Member:
    return Member(path=path, mode=stat.S_IFREG | permissions, data=data)


def folder(path: str, permissions: int = 0o755) -> Member:
    return Member(path=path, mode=stat.S_IFDIR | permissions)


def link(path: str, target: str) -> Member:
    return Member(path=path, mode=stat.S_IFLNK | 0o777, data=target.encode())


def character_device(path: str, major: int, minor: int, permissions: int = 0o600) -> Member:
    return Member(path=path, mode=stat.S_IFCHR | permissions, device=(major, minor))


def write_cpio(members: Iterable[Member]) -> bytes:
    """Return the archive of *members* and their parent folders. Raises ValueError when a path occurs twice."""
    by_path: dict[str, Member] = {}
    for member in members:
        path = member.path.strip("/")
        if path in by_path:
            raise ValueError(f"{path} is twice in the archive")
        by_path[path] = member
    for path in list(by_path):
        while path := path.rpartition("/")[0]:
            by_path.setdefault(path, folder(path))
    out = bytearray()
    # Sorted by their parts, a folder comes before its content.
    for number, path in enumerate(sorted(by_path, key=lambda path: path.split("/")), start=1):
        member = by_path[path]
        _append(out, number, path, member.mode, member.data, member.device)
    _append(out, 0, _TRAILER, 0, b"", (0, 0))
    return bytes(out)


def _append(out: bytearray, number: int, path: str, mode: int, data: bytes, device: tuple[int, int]) -> None:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
    out += _MAGIC + b"".join(b"%08x" % field for field in fields) + name
    out += bytes(-len(out) % 4)
    out += data
    out += bytes(-len(out) % 4)
