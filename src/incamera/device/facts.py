"""What is known of a device: the answers of one probe, as values that can be stored as JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incamera.guard.places import FOLDER
from incamera.targets.form import Kind

_RAM = frozenset({"tmpfs", "ramfs", "rootfs"})


# In the order of preference; see deployment/plan.py.
PLACES = {
    "/tmp": Kind.ram,
    "/usr/local/packages": Kind.package,
    "/var/spool/storage/SD_DISK": Kind.sdcard,
    "/var/spool/storage/NetworkShare": Kind.share,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder that can hold bundles. Sizes in bytes; `free` is None where the device doesn't tell."""

    path: str
    filesystem: str
    free: int | None
    writable: bool
    executable: bool
    """Whether a trial program could be started there."""
    flags: tuple[str, ...] = ()
    """Those of the mount's options that forbid something, `ro` and `noexec`; `silent`: it did not answer at all;
    `not-sticky`: everybody can rename what is in it."""
    apps: tuple[str, ...] = ()
    """The names of the apps that have a bundle there."""
    folder: str = FOLDER
    """The name of our folder there. Empty: it can have none, since other users have taken each name, or could."""
    owner: str = ""
    """Who has taken the names. Empty: nobody has."""

    @property
    def ram(self) -> bool:
        return self.filesystem in _RAM

    @property
    def renamed_by_all(self) -> bool:
        """Whether everybody can rename what is in it: other users could put programs of theirs in place of ours."""
        return "not-sticky" in self.flags

    @property
    def kind(self) -> Kind:
        return PLACES.get(self.path, Kind.home)


@dataclass(frozen=True, slots=True)
class DeviceLibrary:
    """A shared library: the name that programs ask for, its path, and the name and size of the file behind links."""

    soname: str
    path: str
    real_name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFacts:
    """`architecture` is what `uname -m` prints, memory is in bytes, and `boot` changes with each restart."""

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
    """The content of the marker file of the mounted network share, if `share attach` put one there."""

    @property
    def root(self) -> bool:
        """Whether we are root there."""
        return self.user in ("root", "0")

    @property
    def links_roots(self) -> bool:
        """Whether /tmp can hold folders of links, so that a bundle and its runtime can be in different folders."""
        ram = self.find_place(Kind.ram)
        return ram is not None and ram.writable and ram.executable and not ram.renamed_by_all

    def find_place(self, kind: Kind) -> Place | None:
        """Return the place of that kind, None where the device has none."""
        return next((place for place in self.places if place.kind is kind), None)

    def find_guard_place(self) -> Place | None:
        """Return the first place in which our program can be started, None where there is none."""
        return next((place for place in self.places if place.writable and place.executable and place.folder), None)

    @property
    def fingerprint(self) -> str:
        """A digest of all that the loader rule depends on: it is the same for two devices with the same firmware."""
        what = [self.architecture, self.libc, self.library_folders]
        rows = [[lib.soname, lib.path, lib.real_name, lib.size] for lib in self.libraries]
        return hashlib.sha256(json.dumps([what, rows]).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"fingerprint": self.fingerprint}


def parse_facts(document: Mapping[str, Any]) -> DeviceFacts:
    """Return the facts that `to_json` made *document* of. Raises ValueError."""
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
