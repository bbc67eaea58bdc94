"""Find the members of an `ar` archive, the container of a `.deb`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from incamera.archives.limits import BadArchive

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
# A `.deb` has three, and may have a signature or two.
_MAX_MEMBERS = 16


@dataclass(frozen=True, slots=True)
class ArMember:
    """A member of an `ar` archive: its *size* bytes begin at the byte *start* of the archive."""

    name: str
    start: int
    size: int


def read_ar_members(stream: IO[bytes]) -> list[ArMember]:
    """Return the members of the `ar` archive *stream*. Raises BadArchive when it is damaged, or not one."""
    end = stream.seek(0, 2)
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise BadArchive("it is not an ar archive")
    members: list[ArMember] = []
    place = len(_MAGIC)
    while place < end:
        stream.seek(place)
        header = stream.read(_HEADER_BYTES)
        size = header[48:58].strip()
        if len(header) < _HEADER_BYTES or header[58:] != b"`\n" or not size.isdigit():
            raise BadArchive(f"no member begins at byte {place}")
        member = ArMember(header[:16].decode("latin-1").rstrip(" ").rstrip("/"), place + _HEADER_BYTES, int(size))
        if member.start + member.size > end:
            raise BadArchive(f"it is cut off in the middle of {member.name}")
        members.append(member)
        if len(members) > _MAX_MEMBERS:
            raise BadArchive(f"it has more than {_MAX_MEMBERS} members")
        place = member.start + member.size + member.size % 2
    return members
