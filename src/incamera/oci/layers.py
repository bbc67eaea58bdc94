"""Layers of images, put on top of each other: a layer adds files, replaces them, and removes some of those below it.

A layer's files are unpacked into one folder under numbers, and never under a name that the layer gives. What is where
is decided on names alone (`Folder`), and only what remains in the end is written.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from incamera.archives import (
    BadArchive,
    Kind,
    Limits,
    PackedStream,
    TarMember,
    TarReader,
    TooLarge,
    clean_path,
    shorten,
)

_GB = 1 << 30
LAYER_LIMITS = Limits(total_bytes=16 * _GB, member_bytes=4 * _GB, members=1_000_000, ratio=1000)
# Of what is kept of all layers. Folders that only a path names, and what is removed, count as files.
_KEPT_BYTES = 4 * _GB
_KEPT_FILES = 200_000
_COPY_BYTES = 1 << 20
# A file with this name before its own stands for the lack of that file in the layers below.
_REMOVED = ".wh."
# The folder that has such a file hides all that the layers below have in it.
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class File:
    """A regular file, whose bytes are in *content*."""

    content: Path
    executable: bool


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(slots=True)
class Folder:
    """A folder, by the names of what it has."""

    children: dict[str, Node] = field(default_factory=dict)

    def find(self, path: str) -> Node | None:
        """Return what is at *path*; None where there is nothing. No link is followed."""
        node: Node | None = self
        for name in path.split("/") if path else ():
            node = node.children.get(name) if isinstance(node, Folder) else None
        return node

    def remove(self, path: str) -> None:
        """Remove what is at *path*, with all that is below it."""
        parent, _, name = path.rpartition("/")
        folder = self.find(parent)
        if isinstance(folder, Folder):
            folder.children.pop(name, None)

    def place(self, path: str, node: Node) -> None:
        """Put *node* at *path*. A folder is added to one that is there; all else replaces what is there."""
        *folders, name = path.split("/")
        at = self
        for part in folders:
            below = at.children.get(part)
            if not isinstance(below, Folder):
                below = at.children[part] = Folder()
            at = below
        if not (isinstance(node, Folder) and isinstance(at.children.get(name), Folder)):
            at.children[name] = node


Node = File | Link | Folder


@dataclass(slots=True)
class Layer:
    """What a layer does: it removes *removed* and empties *emptied* of the layers below, and adds *added*, in order.

    A hard link is the path of another file, of this layer or of one below.
    """

    removed: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    added: list[tuple[str, Node | str]] = field(default_factory=list)

    def apply(self, tree: Folder) -> None:
        """Change *tree*, what the layers below have made. Raises BadArchive for a hard link that leads nowhere."""
        # What a hard link leads to may be removed in this very layer, since it was there when the link was made.
        below = {target: tree.find(target) for _, target in self.added if isinstance(target, str)}
        for path in self.removed:
            tree.remove(path)
        for path in self.emptied:
            folder = tree.find(path)
            if isinstance(folder, Folder):
                folder.children.clear()
        for path, node in self.added:
            if isinstance(node, str):
                found = tree.find(node) or below[node]
                if not isinstance(found, File):
                    raise BadArchive(f"it has a hard link to {shorten(node)}, but not that file")
                tree.place(path, found)
            else:
                tree.place(path, node)


class Unpacker:
    """Unpacks the files of layers that *wants* chooses into the folder *scratch*, which is empty and its own.

    *top* is the folder of the image below which all of them are. Files, links and what is removed elsewhere count only
    as far as they concern that folder.
    """

    def __init__(self, scratch: Path, top: str, wants: Callable[[str], bool]) -> None:
        self._scratch = scratch
        self._top = top
        self._wants = wants
        self._files = 0
        self._bytes = 0
        self._count = 0
        self._folders: set[int] = set()
        """Hashes of the paths of folders that were counted."""

    def read(self, stream: IO[bytes], size: int, on_read: Callable[[int], None] = lambda count: None) -> Layer:
        """Return the layer in the next *size* bytes of *stream*, a tar archive, maybe compressed.

        *on_read* is called with the number of packed bytes that were read. Raises OSError, or BadArchive for damage.
        """
        packed = PackedStream(stream, size=size, limits=LAYER_LIMITS)
        archive = TarReader(packed, LAYER_LIMITS)
        layer = Layer()
        place = 0.0
        for member in archive:
            self._take(layer, archive, member)
            if packed.packed_position - place >= _COPY_BYTES:
                on_read(int(packed.packed_position) - int(place))
                place = packed.packed_position
        on_read(size - int(place))
        return layer

    def _take(self, layer: Layer, archive: TarReader, member: TarMember) -> None:
        if posixpath.normpath(member.name) in (".", "/", "//"):
            return  # the root folder itself
        path = clean_path(member.name.lstrip("/"))
        folder, _, name = path.rpartition("/")
        if name == _OPAQUE:
            if self._concerns(folder):
                self._count_in(folder)
                layer.emptied.append(folder)
        elif name.startswith(_REMOVED):
            removed = name.removeprefix(_REMOVED)
            if removed.startswith(_REMOVED):
                return  # what one storage driver keeps for itself
            if removed in ("", ".", ".."):
                raise BadArchive(f"a file in it cannot be called {shorten(path)}")
            removed = posixpath.join(folder, removed)
            if self._concerns(removed):
                self._count_in(removed)
                layer.removed.append(removed)
        elif self._is_inside(path):
            if self._wants(path):
                self._add(layer, archive, member, path)
        elif self._concerns(path) and member.kind is not Kind.folder:
            # Where the folder was, or one above it, there is something else now.
            self._count_in(path)
            layer.added.append((path, Link("")))

    def _add(self, layer: Layer, archive: TarReader, member: TarMember, path: str) -> None:
        self._count_in(path)
        self._files += 1
        match member.kind:
            case Kind.file:
                self._bytes += member.size
                if self._bytes > _KEPT_BYTES:
                    raise TooLarge(f"{self._top} in it has more than {_KEPT_BYTES // _GB} GB")
                content = self._scratch / str(self._files)
                with content.open("xb") as output:
                    while data := archive.read(_COPY_BYTES):
                        output.write(data)
                layer.added.append((path, File(content, bool(member.mode & 0o111))))
            case Kind.folder:
                layer.added.append((path, Folder()))
            case Kind.link:
                layer.added.append((path, Link(member.link)))
            case Kind.hard_link:
                layer.added.append((path, clean_path(member.link.lstrip("/"))))
            case Kind.other:
                pass

    def _count_in(self, path: str) -> None:
        """Count what is at *path*, and the folders above it that were not counted yet. Raises TooLarge."""
        self._count += 1
        folder = posixpath.dirname(path)
        while folder and (known := hash(folder)) not in self._folders:
            self._folders.add(known)
            self._count += 1
            folder = posixpath.dirname(folder)
        if self._count > _KEPT_FILES:
            raise TooLarge(f"{self._top} in it has more than {_KEPT_FILES} files")

    def _is_inside(self, path: str) -> bool:
        return path.startswith(f"{self._top}/")

    def _concerns(self, path: str) -> bool:
        """Whether *path* is in the folder, is the folder, or one above it."""
        return not path or self._is_inside(path) or f"{self._top}/".startswith(f"{path}/")


def write_tree(folder: Folder, destination: Path, top: str) -> None:
    """Write *folder*, which is the image's folder *top*, into the folder *destination*, which is empty.

    Links lead to the same file inside of the folder, from wherever; those that would lead outside are left out. Each
    file is moved. Raises OSError.
    """
    moved: dict[Path, Path] = {}
    waiting = [(folder, "")]
    while waiting:
        inner, path = waiting.pop()
        for name, node in sorted(inner.children.items()):
            below = f"{path}{name}"
            place = destination / below
            match node:
                case Folder():
                    place.mkdir(0o755)
                    waiting.append((node, f"{below}/"))
                case Link():
                    if (target := _relative(below, node.target, top)) is not None:
                        place.symlink_to(target)
                case File():
                    if (other := moved.get(node.content)) is not None:
                        place.hardlink_to(other)
                    else:
                        node.content.chmod(0o755 if node.executable else 0o644)
                        moved[node.content] = node.content.rename(place)


def _relative(path: str, target: str, top: str) -> str | None:
    """Return the *target* of the link at *path* below *top* as a relative path; None when it is outside of *top*.

    An absolute one may be meant in the image, or with *top* as the root of a system of its own.
    """
    if not target:
        return None
    here = posixpath.dirname(f"/{path}")
    if target.startswith("/"):
        absolute = posixpath.normpath(f"/{target.lstrip('/')}")
        absolute = absolute.removeprefix(f"/{top}") if f"{absolute}/".startswith(f"/{top}/") else absolute
    else:
        absolute = posixpath.normpath(posixpath.join(f"/{top}{here}", target))
        if not f"{absolute}/".startswith(f"/{top}/"):
            return None
        absolute = absolute.removeprefix(f"/{top}")
    return posixpath.relpath(absolute or "/", here)
