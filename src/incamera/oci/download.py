"""Fetches the layers of an image from its registry into the store. One that was cut off goes on where it ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from incamera.digest import Sha256
from incamera.errors import IntegrityError
from incamera.fetching import Transfer, fetch_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incamera.http import Http, Progress
    from incamera.oci.manifest import Descriptor
    from incamera.oci.registry import Registry
    from incamera.store import Store

# In the store.
_FOLDER = "caches/image-layers"


def missing_bytes(store: Store, layers: Sequence[Descriptor]) -> int:
    """Return how many bytes of *layers* are not in the store."""
    missing = 0
    for layer in set(layers):
        if not _path(store, layer).exists():
            part = _part(store, layer)
            missing += max(0, layer.size - (part.stat().st_size if part.exists() else 0))
    return missing


def fetch_layers(
    layers: Sequence[Descriptor], registry: Registry, http: Http, store: Store, progress: Progress | None
) -> list[Path]:
    """Return the paths of *layers* in the store; several are fetched at a time, and each is verified.

    *progress* is called with the number of bytes that have arrived. Raises FetchError, IntegrityError, StoreError.
    """
    with store.reporting_disk_errors():
        (store.root / _FOLDER).mkdir(parents=True, exist_ok=True)

    def ensure(layer: Descriptor, transfer: Transfer) -> Path:
        with store.reporting_disk_errors(), store.lock(f"layer-{layer.digest}"):
            path = _path(store, layer)
            if not path.exists():
                _fetch(layer, registry, _part(store, layer), transfer)
                _part(store, layer).replace(path)
            return path

    paths = fetch_all(layers, ensure, http, progress=progress)
    return [paths[layer] for layer in layers]


def remove_layers(store: Store, layers: Sequence[Descriptor]) -> None:
    """Remove what the store has of *layers*: nothing needs them any more, or one is damaged."""
    for layer in layers:
        _path(store, layer).unlink(missing_ok=True)


def _fetch(layer: Descriptor, registry: Registry, part: Path, transfer: Transfer) -> None:
    """Write the *layer* to the file *part*, which may have its beginning. Raises IntegrityError when it is another."""
    while True:
        with _PartFile(part) as sink:
            if sink.size > layer.size:
                sink.restart()
            was_begun = sink.size > 0
            registry.download(layer, transfer.sink(sink), transfer.progress)
        with part.open("rb") as stream:
            found = Sha256.of_stream(stream)
        if found == layer.digest:
            return
        part.unlink()
        if not was_begun:
            raise IntegrityError(
                f"layer {layer.digest[:12]}: the sha256 is {found[:16]}…, but must be {layer.digest[:16]}…",
                hint="the registry, or a proxy on the way, changes what it sends",
            )
        transfer.progress(-layer.size)


def _path(store: Store, layer: Descriptor) -> Path:
    return store.root / _FOLDER / layer.digest


def _part(store: Store, layer: Descriptor) -> Path:
    return store.root / _FOLDER / f"{layer.digest}.part"


class _PartFile:
    """Adds to the file *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = 0

    def __enter__(self) -> Self:
        self._stream: IO[bytes] = self._path.open("ab", buffering=0)
        self.size = os.fstat(self._stream.fileno()).st_size
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, data: bytes) -> None:
        while data:
            count = self._stream.write(data)
            self.size += count
            data = data[count:]

    def restart(self) -> None:
        self._stream.truncate(0)
        self.size = 0
