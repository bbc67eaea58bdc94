"""What builds require, kept in the store: to know it, an sdist is unpacked, or a back end is asked."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from incamera.disk import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.store import Store

# Raise it when the cached form changes, or what is found for the same inputs.
_FORMAT = 3


class Answers:
    """The answers of earlier commands that are kept in *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def once(self, inputs: Sequence[object], find: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Return what *find* returned the last time for the same *inputs*."""
        key = hashlib.sha256(json.dumps([_FORMAT, *inputs]).encode()).hexdigest()
        found = self._load(key)
        if found is None:
            found = find()
            self._save(key, found)
        return found

    def _path(self, key: str) -> Path:
        return self._store.root / "caches" / "build-requires" / f"{key}.json"

    def _load(self, key: str) -> tuple[str, ...] | None:
        try:
            cached = json.loads(self._path(key).read_bytes())
            return tuple(map(str, cached["requires"])) if cached["check"] == _check(cached["requires"]) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _save(self, key: str, wanted: Sequence[str]) -> None:
        entry = {"requires": list(wanted), "check": _check(list(wanted))}
        with self._store.reporting_disk_errors():
            write_atomic(self._path(key), json.dumps(entry).encode())


def _check(requires: object) -> int:
    return zlib.crc32(json.dumps(requires).encode())
