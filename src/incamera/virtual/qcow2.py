"""Makes empty disk images in QEMU's sparse format qcow2, which QEMU's docs/interop/qcow2.txt describes."""

from __future__ import annotations

import struct
from pathlib import Path

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_HEADER_BYTES = 104
_SIZE_OFFSET = 24


def empty_disk(megabytes: int) -> bytes:
    """Return an empty qcow2 image (version 3) of a disk of *megabytes* (of 1,048,576 bytes); it takes 256 kB."""
    size = megabytes * 1024 * 1024
    # One entry of the L1 table maps 8192 clusters, 512 MB.
    l1_entries = max(1, -(-size // (_CLUSTER * _CLUSTER // 8)))
    # The clusters of the image: header, refcount table, one refcount block, L1 table.
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb", 3, 0, 0, _CLUSTER_BITS, size, 0, l1_entries, 3 * _CLUSTER, _CLUSTER, 1, 0, 0, 0, 0, 0,
        4, _HEADER_BYTES,
    )  # fmt: skip
    assert len(header) == _HEADER_BYTES
    refcount_table = struct.pack(">Q", 2 * _CLUSTER)
    refcounts = struct.pack(">4H", 1, 1, 1, 1)
    parts = (header, refcount_table, refcounts, bytes(l1_entries))
    return b"".join(part.ljust(_CLUSTER, b"\0") for part in parts)


def empty_overlay(base: Path) -> bytes:
    """Return an empty image of the same size as the qcow2 image *base*, for a disk that begins with its content."""
    with base.open("rb") as stream:
        stream.seek(_SIZE_OFFSET)
        (size,) = struct.unpack(">Q", stream.read(8))
    return empty_disk(size // (1024 * 1024))
