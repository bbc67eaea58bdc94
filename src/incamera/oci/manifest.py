"""Manifests of images: OCI's and Docker's (schema 2), and the lists of manifests for several platforms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from incamera.archives import BadArchive, shorten
from incamera.digest import Sha256

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
# In bytes. Registries take manifests of up to 4 MB.
MANIFEST_BYTES = 4 << 20
CONFIG_BYTES = 8 << 20

# Docker makes no image with more than 127 layers.
_LAYERS = 512
_ENTRIES = 1000
# In bytes: of one layer, and of all together.
_LAYER_BYTES = 8 << 30
_IMAGE_BYTES = 16 << 30
_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of one blob."""

    digest: Sha256
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: the blob with its configuration, and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A manifest in an index, and the platform that it is for. *name* is the image's, in a folder or a file."""

    descriptor: Descriptor
    platform: str
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """The manifests of one image for several platforms, or of all images in a folder."""

    entries: tuple[Entry, ...]


def parse_manifest(data: bytes) -> Manifest | Index:
    """Return what *data* describes. Raises BadArchive when it is damaged, of the old kind, or has too much."""
    table = parse_table(data, "its manifest")
    if "manifests" in table:
        entries = _list(table, "manifests", _ENTRIES)
        return Index(tuple(_parse_entry(entry) for entry in entries))
    if "layers" not in table:
        is_old = table.get("schemaVersion") == 1
        raise BadArchive("its manifest is of the old kind (schema 1)" if is_old else "its manifest names no layers")
    layers = tuple(_parse_descriptor(layer) for layer in _list(table, "layers", _LAYERS))
    if any(layer.size > _LAYER_BYTES for layer in layers) or sum(layer.size for layer in layers) > _IMAGE_BYTES:
        raise BadArchive(f"its layers have more than {_IMAGE_BYTES >> 30} GB")
    return Manifest(_parse_descriptor(table.get("config")), layers)


def choose_platform(index: Index) -> Descriptor:
    """Return the manifest that is taken: an SDK runs on this kind of computer, or on any. Raises BadArchive."""
    images = [entry for entry in index.entries if not entry.platform.startswith("unknown/")]
    for wanted in ("linux/amd64", "linux/arm64", "linux/", ""):
        for entry in images:
            if entry.platform.startswith(wanted):
                return entry.descriptor
    raise BadArchive("its index names no image")


def parse_diff_ids(data: bytes) -> tuple[Sha256, ...]:
    """Return the digests of the unpacked layers, which the image's configuration *data* has. Raises BadArchive."""
    root = parse_table(data, "its configuration").get("rootfs")
    if not isinstance(root, dict):
        raise BadArchive("its configuration names no layers")
    return tuple(parse_digest(digest) for digest in _list(root, "diff_ids", _LAYERS))


def parse_table(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in *data*. Raises BadArchive when it is anything else; *what* names it."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        raise BadArchive(f"{what} is not JSON") from None
    if not isinstance(table, dict):
        raise BadArchive(f"{what} is not a JSON object")
    return table


def parse_digest(value: object) -> Sha256:
    """Return the digest in *value*, `sha256:…`. Raises BadArchive for any other."""
    if isinstance(value, str) and value.startswith(_PREFIX):
        try:
            return Sha256(value.removeprefix(_PREFIX))
        except ValueError:
            pass
    raise BadArchive(f"{shorten(ascii(value))} in its manifest is no sha256")


def _parse_descriptor(value: object) -> Descriptor:
    if not isinstance(value, dict):
        raise BadArchive("its manifest is malformed")
    size = value.get("size")
    if type(size) is not int or size < 0:
        raise BadArchive("a size in its manifest is malformed")
    return Descriptor(parse_digest(value.get("digest")), size)


def _parse_entry(value: object) -> Entry:
    descriptor = _parse_descriptor(value)
    assert isinstance(value, dict)
    platform = value.get("platform")
    annotations = value.get("annotations")
    facts = platform if isinstance(platform, dict) else {}
    names = annotations if isinstance(annotations, dict) else {}
    # containerd and Docker write the whole name, others only the tag.
    name = names.get("io.containerd.image.name") or names.get("org.opencontainers.image.ref.name")
    shown = f"{facts.get('os', '')}/{facts.get('architecture', '')}" if facts else ""
    return Entry(descriptor, shown, name if isinstance(name, str) else "")


def _list(table: dict[str, Any], key: str, most: int) -> list[Any]:
    value = table.get(key)
    if not isinstance(value, list):
        raise BadArchive(f"{key} in its manifest is malformed")
    if len(value) > most:
        raise BadArchive(f"{key} in its manifest has more than {most} entries")
    return value
