"""Small files kept in the store's caches: written whole or not at all, by several threads and processes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.store import Store


def keep(store: Store, path: Path, data: bytes) -> None:
    with store.reporting_disk_errors(), store.temporary() as folder:
        partial = folder / "kept"
        partial.write_bytes(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(path)
