"""Write a tar archive, byte for byte as GNU tar does for `--format gnu --numeric-owner --owner 0 --group 0`.

Python's tarfile writes other bytes: in the owner's name, the device numbers, and the headers of long names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512
# tar writes whole records of 20 blocks.
RECORD = 20 * BLOCK
_NAME_BYTES = 100
_LONG_NAME = b"././@LongLink"
_LONG_MODE = 0o644
_LINK_MODE = 0o777
_MAGIC = b"ustar  \0"
_CHUNK = 1 << 20
_FILE, _LINK, _FOLDER, _LONG_LINK_TARGET, _LONG_MEMBER_NAME = b"0", b"2", b"5", b"K", b"L"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of an archive: a file with its *content* (a path, or the bytes), a folder, or a symbolic link.

    *path* has no `/` at its end, for folders neither. *size* is in bytes, *link* is the target of a link.
    """

    path: str
    mode: int = 0o644
    size: int = 0
    content: Path | bytes | None = None
    link: str = ""

    @property
    def is_folder(self) -> bool:
        return self.content is None and not self.link

    @property
    def raw_path(self) -> bytes:
        return self.path.encode("utf-8", "surrogateescape")


def write_tar(members: Iterable[Member], mtime: int, write: Callable[[bytes], object]) -> int:
    """Call *write* with the archive of *members*, piece by piece. Returns its size in bytes.

    All members have the time *mtime*, in seconds since 1970. Raises OSError, or ValueError for a file whose size is not
    that of its member.
    """
    size = 0
    for member in members:
        for piece in _dump(member, mtime):
            write(piece)
            size += len(piece)
    size += 2 * BLOCK
    padding = -size % RECORD
    write(bytes(2 * BLOCK + padding))
    return size + padding


def _dump(member: Member, mtime: int) -> Iterator[bytes]:
    name = member.raw_path + (b"/" if member.is_folder else b"")
    link = member.link.encode("utf-8", "surrogateescape")
    if len(link) > _NAME_BYTES:
        yield _long(link, _LONG_LINK_TARGET)
    if len(name) > _NAME_BYTES:
        yield _long(name, _LONG_MEMBER_NAME)
    if link:
        yield _header(name, mode=_LINK_MODE, mtime=mtime, kind=_LINK, link=link)
    elif member.content is None:
        yield _header(name, mode=member.mode, mtime=mtime, kind=_FOLDER)
    else:
        yield _header(name, mode=member.mode, size=member.size, mtime=mtime, kind=_FILE)
        yield from _padded(member.path, member.content, member.size)


def _padded(path: str, content: Path | bytes, size: int) -> Iterator[bytes]:
    done = 0
    if isinstance(content, bytes):
        yield content
        done = len(content)
    else:
        with content.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
                done += len(chunk)
    if done != size:
        raise ValueError(f"{path} has changed while it was packed")
    if padding := -size % BLOCK:
        yield bytes(padding)


def _long(name: bytes, kind: bytes) -> bytes:
    """Return the member that holds a *name* which is too long for the header of the member that follows."""
    data = name + b"\0"
    return _header(_LONG_NAME, mode=_LONG_MODE, size=len(data), kind=kind) + data + bytes(-len(data) % BLOCK)


def _header(name: bytes, *, mode: int, size: int = 0, mtime: int = 0, kind: bytes, link: bytes = b"") -> bytes:
    before = b"".join(
        (
            name[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0"),
            _octal(mode & 0o7777, 8),
            _octal(0, 8),  # owner
            _octal(0, 8),  # group
            _octal(size, 12),
            _octal(mtime, 12),
        )
    )
    # Names of owner and group, device numbers: all empty.
    after = (kind + link[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0") + _MAGIC).ljust(BLOCK - len(before) - 8, b"\0")
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return b"%b%06o\0 %b" % (before, checksum, after)


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)
