"""Images: a runtime as one file, which a camera mounts where it lies (squashfs) or unpacks into RAM (archive).

An image is known by the digest of its bytes and shared by every bundle that has the same runtime. The bundle itself
then is only the app, its manifest, and a text, `image`, from which the camera's guard makes it stand.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.runtime.bundle import MANIFEST
from incamera.runtime.layout import APP
from incamera.targets.form import Form

if TYPE_CHECKING:
    from incamera.tree import Entry

# The file of a bundle that says what image it runs from.
TEXT = "image"
_SUFFIXES = {Form.squashfs: ".squashfs", Form.archive: ".tar.gz", Form.tree: ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A runtime as one file, or as a tree.

    digest: of the file's bytes; of the tree. bytes: its size; unpacked: that of the files in it.
    reads: from where to where a start reads it, that of mounting first; check: the Adler-32 of these; unpacks: the
    files that a start reads, in its order, and how much of each.
    """

    form: Form
    path: Path
    digest: str
    bytes: int
    unpacked: int
    reads: Sequence[tuple[int, int]] = ()
    check: int = 0
    unpacks: Sequence[tuple[str, int]] = ()
    compression: str = ""

    @property
    def file(self) -> str:
        """What it is called in a place's folder of images."""
        return f"{self.digest}{_SUFFIXES[self.form]}"


# An app of this size is taken into RAM with the text: Python asks after an app's folder at each import, and each asking
# would be a round trip to a share.
_SMALL_APP_BYTES = 512 * 1024
_SMALL_APP_FILES = 200


def image_text(
    image: Image, *, files: Mapping[str, bytes] | None = None, links: Mapping[str, str] | None = None, app: bytes = b""
) -> bytes:
    """Return the text from which the guard activates a bundle (`image.c` reads it).

    *files* and *links* (path → target) are what this device gets besides: the guard makes them in RAM, since a link on
    a share would be followed by the server. *app*: what `small_app` gives; it comes behind the text, after a NUL.
    """
    lines = [f"form {image.form}", f"file {image.file}"]
    if image.form is not Form.tree:
        lines += [f"size {image.bytes}", f"unpacked {image.unpacked}"]
    if image.form is Form.squashfs:
        lines += [f"read {start} {end}" for start, end in image.reads]
        lines += [f"check {image.check}"]
        lines += [f"unpack {size} {path}" for path, size in image.unpacks if "\n" not in path]
    for path, data in (files or {}).items():
        lines += [f"write {path} {line}" for line in data.decode().splitlines()]
    lines += [f"link {path} {target}" for path, target in (links or {}).items()]
    return "".join(f"{line}\n" for line in lines).encode() + (b"\0" + app if app else b"")


def small_app(root: Path, entries: Iterable[Entry]) -> bytes:
    """Return the app of the bundle in *root* as a tar archive, nothing where it is too large to be kept in RAM."""
    own = [entry for entry in entries if entry.path.startswith(f"{APP}/")]
    if len(own) > _SMALL_APP_FILES or sum(entry.size for entry in own) > _SMALL_APP_BYTES:
        return b""
    packed = bytearray()
    for entry in sorted(own, key=lambda entry: entry.path.encode()):
        info = tarfile.TarInfo(entry.path)
        info.mode = 0o555 if entry.executable else 0o444
        info.size = entry.size
        if entry.link:
            info.type, info.linkname = tarfile.SYMTYPE, entry.link
        packed += info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        packed += b"" if entry.link else (root / entry.path).read_bytes()
        packed += bytes(-entry.size % tarfile.BLOCKSIZE)
    return bytes(packed + bytes(2 * tarfile.BLOCKSIZE))


def runtime_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return those of a bundle's entries that go into its image."""
    return tuple(entry for entry in entries if not _is_own(entry))


def app_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return those of a bundle's entries that lie beside its image: the app's."""
    return tuple(entry for entry in entries if _is_own(entry))


def _is_own(entry: Entry) -> bool:
    return entry.path == MANIFEST or entry.path.startswith(f"{APP}/")
