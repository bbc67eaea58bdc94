"""Empty disks for a camera, in QEMU's own sparse format: a few kilobytes each until they are written to.

The format is described in QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import struct

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_HEADER_BYTES = 104


def empty_disk(megabytes: int) -> bytes:
    """Return a qcow2 image (version 3) of *megabytes* that reads as zeros."""
    size = megabytes * 1024 * 1024
    # One cluster of the second table maps 8192 clusters, half a gigabyte.
    first_table_entries = max(1, -(-size // (_CLUSTER * _CLUSTER // 8)))
    # Clusters: header, table of reference counts, one block of reference counts, first table.
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb", 3, 0, 0, _CLUSTER_BITS, size, 0, first_table_entries, 3 * _CLUSTER, _CLUSTER, 1, 0, 0, 0, 0, 0,
        4, _HEADER_BYTES,
    )  # fmt: skip
    assert len(header) == _HEADER_BYTES
    reference_table = struct.pack(">Q", 2 * _CLUSTER)
    reference_counts = struct.pack(">4H", 1, 1, 1, 1)
    return b"".join(
        part.ljust(_CLUSTER, b"\0") for part in (header, reference_table, reference_counts, bytes(first_table_entries))
    )
