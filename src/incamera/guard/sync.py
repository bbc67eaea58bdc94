"""What a device is sent of a bundle: the listing that its guard compares, and the archive that it unpacks."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.digest import Sha256
from incamera.errors import BuildError
from incamera.guard.packing import Packing
from incamera.runtime.launcher.protocol import ENTRY_EXECUTABLE, ENTRY_FILE, ENTRY_LINK
from incamera.tree import Entry, tree_digest

if TYPE_CHECKING:
    from incamera.targets.form import Form

_CHUNK = 256 * 1024
# In front of each file of an archive that is not compressed: the number of its entry. See `plain.c`.
_NUMBER = struct.Struct(">I")
# Long enough that two bundles of one app never share it.
_NAME_DIGITS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ShippedImage:
    """The runtime apart from the app: a file, or a tree of *entries*; for every bundle that names `file`."""

    form: Form
    file: str
    path: Path
    size: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipment:
    """A bundle for one device: its files, and those made for that device.

    `name` is a digest of all of them, so two folders of the same name have the same content. With an *image* they are
    the app and the text that describes the image.
    """

    app: str
    root: Path
    entries: tuple[Entry, ...]
    extra: Mapping[str, bytes] = field(default_factory=dict)
    image: ShippedImage | None = None

    @property
    def name(self) -> str:
        return tree_digest(self.entries)[:_NAME_DIGITS]

    @property
    def files(self) -> int:
        return sum(1 for entry in self.entries if not entry.link)

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


def plan_shipment(
    app: str,
    root: Path,
    entries: Iterable[Entry],
    *,
    extra_files: Mapping[str, bytes] | None = None,
    extra_links: Mapping[str, str] | None = None,
    image: ShippedImage | None = None,
) -> Shipment:
    """Describe the bundle in *root*, and the files and links (path → target) that this device gets besides."""
    extra_files = extra_files or {}
    made = [Entry(path, Sha256.of(data), len(data)) for path, data in extra_files.items()]
    made += [Entry(path, link=target) for path, target in (extra_links or {}).items()]
    ordered = sorted([*entries, *made], key=lambda entry: entry.raw_path)
    return Shipment(app=app, root=root, entries=tuple(ordered), extra=extra_files, image=image)


def dump_listing(entries: Iterable[Entry]) -> bytes:
    """Return the listing in the form that the guard reads (`listing.c` describes it)."""
    records = []
    for entry in entries:
        if "\0" in entry.path or "\0" in entry.link:
            raise ValueError(f"a path with a NUL: {entry.path!r}")
        kind = ENTRY_LINK if entry.link else ENTRY_EXECUTABLE if entry.executable else ENTRY_FILE
        records.append(f"{kind} {entry.size} {entry.sha256 or '-'} {entry.path}\0{entry.link}\0")
    return "".join(records).encode("utf-8", "surrogateescape")


def pack(shipment: Shipment, missing: Sequence[int], packing: Packing) -> Iterator[bytes]:
    """Yield what an archive that will be compressed by *packing* has of the entries numbered *missing*, in chunks."""
    buffer = bytearray()
    for number in missing:
        entry = shipment.entries[number]
        buffer += _NUMBER.pack(number) if packing is Packing.none else _tar_header(entry)
        for chunk in _read(shipment, entry):
            buffer += chunk
            if len(buffer) >= _CHUNK:
                yield bytes(buffer)
                buffer.clear()
        if packing is not Packing.none:
            buffer += bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(buffer)


def archive_ending(packing: Packing) -> bytes:
    """Return what follows the last file of an archive that will be compressed by *packing*."""
    return b"" if packing is Packing.none else bytes(2 * tarfile.BLOCKSIZE)


def _tar_header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.size = entry.size
    # Writable until the guard has checked it, so that an interrupted one can be written again.
    info.mode = 0o755 if entry.executable else 0o644
    # Not pax: busybox reads GNU's long names, whatever it was built with.
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def read_image(image: ShippedImage, offset: int) -> Iterator[bytes]:
    """Yield the image's bytes from *offset* on, in chunks."""
    left = image.size - offset
    with image.path.open("rb") as stream:
        stream.seek(offset)
        while left and (chunk := stream.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk
    if left:
        raise BuildError(f"{image.path} is shorter than when it was made", hint="`incamera store verify` finds why")


def _read(shipment: Shipment, entry: Entry) -> Iterator[bytes]:
    if entry.path in shipment.extra:
        yield shipment.extra[entry.path]
        return
    left = entry.size
    with (shipment.root / entry.path).open("rb") as stream:
        while left and (chunk := stream.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk
    if left:
        raise BuildError(
            f"{shipment.root / entry.path} is shorter than when the bundle was made",
            hint="`incamera store verify` finds what has changed; then build again",
        )
