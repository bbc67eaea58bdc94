"""Images: a runtime as one file, which a camera mounts (squashfs) or unpacks into RAM (archive).

An image is identified by the digest of its bytes, and shared by all bundles with the same runtime. Such a bundle has
only the app, its manifest, and the text file `image`, from which the guard in the camera activates it.
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
    from incamera.digest import Sha256
    from incamera.tree import Entry

_SUFFIXES = {Form.squashfs: ".squashfs", Form.archive: ".tar.gz", Form.tree: ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A runtime as one file, or as a tree. All sizes and offsets are in bytes.

    `digest`: of the file's bytes, or of the tree. `bytes`: the file's size. `unpacked`: the size of the files in it.
    `reads`: the parts of the file that are read ahead before a start, as (start, end); those for mounting come first.
    `check`: the Adler-32 checksum of these parts.
    `unpacks`: the files that a start reads, in this order, with how much of each it reads.
    """

    form: Form
    path: Path
    digest: Sha256
    bytes: int
    unpacked: int
    reads: Sequence[tuple[int, int]] = ()
    check: int = 0
    unpacks: Sequence[tuple[str, int]] = ()
    compression: str = ""

    @property
    def file(self) -> str:
        """Its file name in the image folder of a device's storage."""
        return f"{self.digest}{_SUFFIXES[self.form]}"


# An app up to this size is kept in RAM. Python looks into the app's folder at each import, and on a share each look
# would be a round trip.
_SMALL_APP_BYTES = 512 * 1024
_SMALL_APP_FILES = 200


def image_text(
    image: Image, *, files: Mapping[str, bytes] | None = None, links: Mapping[str, str] | None = None, app: bytes = b""
) -> bytes:
    """Return the content of the file `image`, from which the guard activates a bundle.

    *files* and *links* (path → target) are those of this device only. The guard makes them in RAM, because the server
    of a share would follow the links. *app*: the result of `small_app`, which follows the text after a NUL byte.
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
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape") + (b"\0" + app if app else b"")


def small_app(root: Path, entries: Iterable[Entry]) -> bytes:
    """Return the app of the bundle in *root* as a tar archive; b"" when it is too large to be kept in RAM."""
    own = [entry for entry in entries if entry.path.startswith(f"{APP}/")]
    if len(own) > _SMALL_APP_FILES or sum(entry.size for entry in own) > _SMALL_APP_BYTES:
        return b""
    packed = bytearray()
    for entry in sorted(own, key=lambda entry: entry.raw_path):
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
    """Return the entries of a bundle that are in its image: the runtime's."""
    return tuple(entry for entry in entries if not _is_own(entry))


def app_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries of a bundle that are not in its image: the app's, and the manifest."""
    return tuple(entry for entry in entries if _is_own(entry))


def _is_own(entry: Entry) -> bool:
    return entry.path == MANIFEST or entry.path.startswith(f"{APP}/")
