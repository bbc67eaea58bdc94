"""Images in a folder (OCI's layout) or in a file: what `docker save`, `podman save` and `skopeo copy` write."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from incamera.archives import (
    BadArchive,
    Kind,
    Limits,
    PackedStream,
    TarReader,
    clean_path,
    is_packed,
    open_inside,
    open_regular,
    shorten,
)
from incamera.digest import Sha256
from incamera.errors import ConfigError
from incamera.image_name import ImageName, parse_image_name
from incamera.names import listing
from incamera.oci.manifest import (
    CONFIG_BYTES,
    MANIFEST_BYTES,
    Descriptor,
    Index,
    Manifest,
    choose_platform,
    parse_diff_ids,
    parse_manifest,
)

_GB = 1 << 30
_LIMITS = Limits(total_bytes=32 * _GB, member_bytes=8 * _GB, members=20_000, ratio=1000)
_COPY_BYTES = 1 << 20
_LINKS = 8

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the file *path* of a folder or an archive, which has *size* bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that a folder or a file has. *digest* is its manifest's, or its configuration's if it has none."""

    digest: Sha256
    layers: tuple[Layer, ...]


class Files(Protocol):
    """The files of a folder or an archive by their paths. Nothing else is opened."""

    def open(self, path: str) -> tuple[BinaryIO, int]:
        """Return the open file at *path*, and how many bytes of it follow. Raises KeyError, OSError, BadArchive."""


class FolderFiles:
    """The files of the folder *root*."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, path: str) -> tuple[BinaryIO, int]:
        try:
            stream = open_inside(self._root, path)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(path) from None
        size = stream.seek(0, 2)
        stream.seek(0)
        return stream, size


class TarFiles:
    """The files of a tar archive in *file*; where that is compressed, *scratch* gets a copy that is not."""

    def __init__(self, file: Path, scratch: Path) -> None:
        with open_regular(file) as stream:
            if is_packed(stream.read(8)):
                stream.seek(0)
                _unpack(stream, scratch)
                file = scratch
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        with open_regular(file) as stream:
            packed = PackedStream(stream, limits=_LIMITS)
            for member in TarReader(packed, _LIMITS):
                if member.kind is Kind.file:
                    self._places[member.path] = (packed.position, member.size)
                elif member.kind is Kind.link:
                    self._links[member.path] = posixpath.join(posixpath.dirname(member.path), member.link)
                elif member.kind is Kind.hard_link:
                    self._links[member.path] = member.target

    def open(self, path: str) -> tuple[BinaryIO, int]:
        for _ in range(_LINKS):
            if path not in self._links:
                break
            path = clean_path(posixpath.normpath(self._links[path]))
        first, size = self._places[path]
        stream = open_regular(self._file)
        stream.seek(first)
        return stream, size


def find_image(files: Files, name: ImageName) -> StoredImage:
    """Return the image *name* among *files*; where there is only one, that one, unless it is another tag's.

    All its blobs are there and have the digests that they must have. Raises BadArchive, ConfigError when there are
    several of other names, or one of another tag, OSError.
    """
    with suppress(KeyError):
        return _find_in_layout(files, name)
    with suppress(KeyError):
        return _find_saved(files, name)
    raise BadArchive("it has neither index.json nor manifest.json, so it is no image")


def _find_in_layout(files: Files, name: ImageName) -> StoredImage:
    index = parse_manifest(_read(files, "index.json", MANIFEST_BYTES))
    if not isinstance(index, Index):
        raise BadArchive("its index.json names no image")
    entry = _choose({entry: [entry.name] for entry in index.entries if entry.platform != "unknown/unknown"}, name)
    descriptor = entry.descriptor
    for _ in range(3):
        data = _read(files, _blob(descriptor), MANIFEST_BYTES)
        if Sha256.of(data) != descriptor.digest:
            raise BadArchive(f"{_blob(descriptor)} in it is damaged: its sha256 is {Sha256.of(data)[:16]}…")
        found = parse_manifest(data)
        if isinstance(found, Manifest):
            if name.digest not in (None, entry.descriptor.digest, descriptor.digest):
                raise BadArchive(f"its digest is {descriptor.digest[:16]}…, and not {str(name.digest)[:16]}…")
            return StoredImage(descriptor.digest, tuple(_check_layer(files, layer) for layer in found.layers))
        descriptor = choose_platform(found)
    raise BadArchive("its index names another index")


def _find_saved(files: Files, name: ImageName) -> StoredImage:
    """Return an image that an older `docker save` has written: its layers are not packed."""
    import json  # lazy: new images have an index

    try:
        images = json.loads(_read(files, "manifest.json", MANIFEST_BYTES))
    except (ValueError, RecursionError) as error:
        raise BadArchive("its manifest.json is not JSON") from error
    known: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for image in images if isinstance(images, list) else ():
        config, paths = (image.get("Config"), image.get("Layers")) if isinstance(image, dict) else (None, None)
        if not (isinstance(config, str) and isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
            raise BadArchive("its manifest.json is malformed")
        tags = image.get("RepoTags")
        known[config, tuple(paths)] = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    if not known:
        raise BadArchive("its manifest.json names no image")
    config, paths = _choose(known, name)
    data = _read(files, clean_path(config), CONFIG_BYTES)
    digests = parse_diff_ids(data)
    if len(digests) != len(paths):
        raise BadArchive("its configuration has other layers than its manifest.json")
    digest = Sha256.of(data)
    if name.digest is not None:
        raise BadArchive("it does not have the digest of its manifest: add the image without a digest in its name")
    return StoredImage(
        digest, tuple(_check(files, clean_path(path), want) for path, want in zip(paths, digests, strict=True))
    )


def _choose(known: Mapping[K, Sequence[str]], name: ImageName) -> K:
    """Return the one of *known* that *name* names. Raises ConfigError when there are several, and it is not among them.

    Their names may be whole, or a tag alone. A single one may have a name of its own, given by a registry's copy or by
    the user, but not another tag of the same repository.
    """
    if len(known) == 1:
        ((only, names),) = known.items()
        others = [text for text in names if _is_other_tag(text, name)]
        if others and len(others) == len(names):
            raise ConfigError(f"the image in it is {others[0]}, and not {name}", hint="correct the name, or the file's")
        return only
    for key, names in known.items():
        if name.tag in names or any(_is(text, name) for text in names):
            return key
    listed = [text for names in known.values() for text in names if text.isprintable()]
    raise ConfigError(f"there are several images in it, but not {name}", hint=listing("it has", listed))


def _is(text: str, name: ImageName) -> bool:
    found = _parse(text)
    return found is not None and _repository(found) == _repository(name) and found.tag == name.tag


def _is_other_tag(text: str, name: ImageName) -> bool:
    found = _parse(text)
    return found is not None and _repository(found) == _repository(name) and found.tag != name.tag


def _repository(name: ImageName) -> tuple[str, str]:
    return name.registry, name.repository


def _parse(text: str) -> ImageName | None:
    try:
        return parse_image_name(text)
    except ConfigError:
        return None


def _blob(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{descriptor.digest}"


def _read(files: Files, path: str, limit: int) -> bytes:
    stream, size = files.open(path)
    with stream:
        if size > limit:
            raise BadArchive(f"{shorten(path)} in it is longer than {limit} bytes")
        return stream.read(size)


def _check_layer(files: Files, layer: Descriptor) -> Layer:
    found = _check(files, _blob(layer), layer.digest)
    if found.size != layer.size:
        raise BadArchive(f"{found.path} in it has another size than its manifest says")
    return found


def _check(files: Files, path: str, digest: Sha256) -> Layer:
    """Return the layer at *path*. Raises BadArchive unless it is there, with that *digest*."""
    try:
        stream, size = files.open(path)
    except KeyError:
        raise BadArchive(f"{shorten(path)} is missing in it") from None
    with stream:
        hashed = hashlib.sha256()
        left = size
        while left and (data := stream.read(min(left, _COPY_BYTES))):
            hashed.update(data)
            left -= len(data)
    if hashed.hexdigest() != digest:
        raise BadArchive(f"{shorten(path)} in it is damaged: its sha256 is {hashed.hexdigest()[:16]}…")
    return Layer(path, size)


def _unpack(stream: BinaryIO, scratch: Path) -> None:
    packed = PackedStream(stream, limits=_LIMITS)
    with scratch.open("xb") as output:
        while data := packed.read_some(_COPY_BYTES):
            output.write(data)
