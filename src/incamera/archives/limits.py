"""How much an archive from elsewhere may hold, and the error for one that holds more or is damaged."""

from __future__ import annotations

from dataclasses import dataclass

_MB = 1024 * 1024


class BadArchive(ValueError):
    """The archive is damaged, or made to do harm. Callers raise an error of their own that names the file."""


class TooLarge(BadArchive):
    """The archive exceeds a limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is refused in an archive: more than any package for a camera has.

    `total_bytes`: all that it unpacks to, headers included.
    `member_bytes`: the size of one member.
    `members`: how many there are, folders and links included.
    `header_bytes`: an extended header of tar (a long name, pax), or the directory of a zip archive divided by 8.
    `name_bytes`, `depth`: the length of a path, and of how many names it may consist.
    `ratio`: how many times its own size it may unpack to, once that is more than `free_bytes`.
    """

    total_bytes: int = 2048 * _MB
    member_bytes: int = 1024 * _MB
    members: int = 50_000
    header_bytes: int = _MB
    name_bytes: int = 2048
    depth: int = 100
    ratio: int = 200
    free_bytes: int = 64 * _MB

    def check_count(self, count: int) -> None:
        """Raise BadArchive when *count* members are too many."""
        if count > self.members:
            raise TooLarge(f"it has more than {self.members} members")

    def check_size(self, path: str, size: int) -> None:
        """Raise BadArchive when a member of *size* bytes is too large."""
        if size > self.member_bytes:
            raise TooLarge(f"{shorten(path)} would be {size // _MB} MB large, more than {self.member_bytes // _MB} MB")

    def check_total(self, size: int, packed: int) -> None:
        """Raise BadArchive when *size* bytes are too many for an archive of *packed* bytes."""
        if size > self.total_bytes:
            raise TooLarge(f"it would be more than {self.total_bytes // _MB} MB unpacked")
        if size > self.free_bytes and size > self.ratio * packed:
            raise TooLarge(f"it would unpack to more than {self.ratio} times its own size")

    def check_path(self, path: str) -> None:
        """Raise BadArchive when *path* is too long or too deep for a file system."""
        if len(path) > self.name_bytes:
            raise BadArchive(f"a path in it has {len(path)} characters: {shorten(path)}")
        parts = path.split("/")
        if len(parts) > self.depth:
            raise BadArchive(f"{shorten(path)} is nested {len(parts)} folders deep")
        if any(len(part) > 63 and len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts):
            raise BadArchive(f"a name in it has more than 255 bytes: {shorten(path)}")


LIMITS = Limits()


def clean_path(path: str) -> str:
    """Return *path* without empty parts and `.`. Raises BadArchive when it leads outside, or to the folder itself."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise BadArchive(f'a file in it cannot be called "{shorten(path)}"')
    return "/".join(parts)


def shorten(path: str) -> str:
    """Return *path* for a message: at most 80 characters of it."""
    return path if len(path) <= 80 else f"{path[:40]}…{path[-39:]}"
