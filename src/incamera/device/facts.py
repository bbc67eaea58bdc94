"""What is known of a device: the answers of one probe, as values that can be kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RAM = frozenset({"tmpfs", "ramfs", "rootfs"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder in which bundles may stand. Sizes in bytes; `free` is None where the device doesn't tell."""

    path: str
    filesystem: str
    free: int | None
    writable: bool
    executable: bool
    """Whether a small program was really started there."""
    flags: tuple[str, ...] = ()
    """Of the mount's options, those that forbid something: `ro`, `noexec`."""
    apps: tuple[str, ...] = ()
    """The apps that were deployed there already."""

    @property
    def ram(self) -> bool:
        return self.filesystem in _RAM


@dataclass(frozen=True, slots=True)
class DeviceLibrary:
    """A shared library by the name that programs ask for, where it lies, and its real file's name and size."""

    soname: str
    path: str
    real_name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFacts:
    """`architecture` is what `uname -m` prints; memory in bytes; `boot` is new after each restart."""

    architecture: str
    kernel: str
    hostname: str
    system: str
    user: str
    libc: str | None
    loader: str | None
    memory: int
    memory_available: int
    boot: str
    tools: tuple[str, ...]
    places: tuple[Place, ...]
    library_folders: tuple[str, ...]
    libraries: tuple[DeviceLibrary, ...]

    @property
    def fingerprint(self) -> str:
        """A digest of what the loader rule depends on: two devices with the same firmware share it."""
        what = [self.architecture, self.libc, self.library_folders]
        rows = [[lib.soname, lib.path, lib.real_name, lib.size] for lib in self.libraries]
        return hashlib.sha256(json.dumps([what, rows]).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"fingerprint": self.fingerprint}


def parse_facts(document: Mapping[str, Any]) -> DeviceFacts:
    """Return what `to_json` made a document of. Raises ValueError."""
    try:
        fields = {field.name: document[field.name] for field in dataclasses.fields(DeviceFacts)}
        fields["places"] = tuple(
            Place(**place | {"apps": tuple(place["apps"]), "flags": tuple(place["flags"])})
            for place in fields["places"]
        )
        fields["libraries"] = tuple(DeviceLibrary(**library) for library in fields["libraries"])
        for name in ("tools", "library_folders"):
            fields[name] = tuple(fields[name])
        return DeviceFacts(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the facts of a device: {error}") from error
