"""What is known of a device: the answers of one probe, as values that can be kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incamera.targets.form import Kind

_RAM = frozenset({"tmpfs", "ramfs", "rootfs"})


# In the order of preference; see places.py.
PLACES = {
    "/tmp": Kind.ram,
    "/usr/local/packages": Kind.package,
    "/var/spool/storage/SD_DISK": Kind.sdcard,
    "/var/spool/storage/NetworkShare": Kind.share,
}


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
    """Of the mount's options, those that forbid something: `ro`, `noexec`. `silent`: it did not answer at all."""
    apps: tuple[str, ...] = ()
    """The apps that were deployed there already."""

    @property
    def ram(self) -> bool:
        return self.filesystem in _RAM

    @property
    def kind(self) -> Kind:
        return PLACES.get(self.path, Kind.home)


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
    share: str = ""
    """What tells the mounted network share from others, if it was attached by us."""

    @property
    def root(self) -> bool:
        """Whether we may do there what only root may."""
        return self.user in ("root", "0")

    @property
    def links_roots(self) -> bool:
        """Whether a bundle's parts can be put together in RAM, so that its runtime need not lie in the same folder."""
        ram = self.find_place(Kind.ram)
        return ram is not None and ram.writable and ram.executable

    def find_place(self, kind: Kind) -> Place | None:
        return next((place for place in self.places if place.kind is kind), None)

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
