"""The loader rule: of a library that both sides have the newer is used, and what only the camera has comes from it.

The camera's own libraries (VDO, larod, …) share one libc, one libstdc++ and one GLib with Python in a process. So, for
each name, the side whose library exports more is taken; the C library, its loader and their kin move as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.elf import ElfFacts

# glibc's own: they call each other through private symbols, so those of two versions don't mix.
LIBC_FAMILY = re.compile(
    r"(?:ld-linux.*\.so\.\d|libc\.so\.6|libm\.so\.6|libmvec\.so\.1|libpthread\.so\.0|libdl\.so\.2|librt\.so\.1"
    r"|libutil\.so\.1|libresolv\.so\.2|libanl\.so\.1|libnss_\w+\.so\.2|libnsl\.so\.1|libBrokenLocale\.so\.1"
    r"|libthread_db\.so\.1|libc_malloc_debug\.so\.0|libmemusage\.so|libpcprofile\.so)"
)
_NUMBERS = re.compile(r"\d+")
_DEVICE_FOLDER = "device"


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """A library: its soname, the name of its real file, the symbol versions it defines, and where it lies."""

    soname: str
    real_name: str
    versions: frozenset[str]
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderPlan:
    """What is written into a bundle's `device` folder on one device.

    `loader` is the camera's own, or None for the bundle's; `libraries` is the search path; `links` maps the names in
    `device/lib` to the camera's files; `why` tells, for each name that both have, who won.
    """

    loader: str | None
    libraries: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        """The files that a shipment gets besides."""
        lines = ["# Found out about this device when the bundle was deployed; has precedence over etc/launcher."]
        if self.loader is not None:
            lines.append(f"loader {self.loader}")
        lines.append("libraries " + ":".join(self.libraries))
        return {f"{_DEVICE_FOLDER}/launcher": "".join(f"{line}\n" for line in lines).encode()}

    @property
    def shipped_links(self) -> dict[str, str]:
        return {f"{_DEVICE_FOLDER}/lib/{soname}": path for soname, path in self.links.items()}


def plan_loader(
    bundle: Mapping[str, LibraryFacts],
    device: Mapping[str, LibraryFacts],
    *,
    bundle_folders: Sequence[str],
    device_folders: Sequence[str],
    device_loader: str | None,
) -> LoaderPlan:
    """Decide, for every name that both sides have, whose library is used."""
    libc = "libc.so.6"
    device_libc = (
        device_loader is not None and libc in device and libc in bundle and is_newer(device[libc], bundle[libc])
    )
    links = {}
    why = {}
    for soname in sorted(set(bundle) & set(device)):
        family = LIBC_FAMILY.fullmatch(soname) is not None
        if device_libc if family else is_newer(device[soname], bundle[soname]):
            links[soname] = device[soname].path
        ours, theirs = bundle[soname].real_name, device[soname].real_name
        winner = "camera" if soname in links else "bundle"
        why[soname] = f"{winner}: {theirs} there, {ours} here" + (" (goes with libc)" if family else "")
    first = (f"{_DEVICE_FOLDER}/lib",) if links else ()
    return LoaderPlan(
        loader=device_loader if device_libc else None,
        libraries=(*first, *bundle_folders, *device_folders),
        links=links,
        why=why,
    )


def is_newer(one: LibraryFacts, other: LibraryFacts) -> bool:
    """Is *one* newer than *other*? More symbol versions are; where that doesn't decide, the file's name does."""
    if one.versions != other.versions:
        if one.versions > other.versions:
            return True
        if one.versions < other.versions:
            return False
        # Neither has all of the other's: builds with different options. The higher versions are newer.
        mine, theirs = _highest(one.versions - other.versions), _highest(other.versions - one.versions)
        if mine != theirs:
            return mine > theirs
    return _file_version(one) > _file_version(other)


def _highest(versions: Iterable[str]) -> tuple[int, ...]:
    return max((_parse_numbers(version) for version in versions), default=())


def _file_version(library: LibraryFacts) -> tuple[int, ...]:
    """Return (2, 31) for `libc-2.31.so`, (1, 2, 13) for `libz.so.1.2.13`."""
    name = library.real_name
    before, _, after = name.partition(".so")
    numbers = _parse_numbers(after)
    # In `libglib-2.0.so.0.7400.6` the number before ".so" belongs to the name.
    match = None if numbers else re.search(r"-(\d+(?:\.\d+)+)$", before)
    return _parse_numbers(match[1]) if match else numbers


def _parse_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBERS.findall(text))


def describe_libraries(
    libraries: Mapping[str, ElfFacts],
    real_names: Mapping[str, str],
    paths: Mapping[str, str] | None = None,
) -> dict[str, LibraryFacts]:
    """Return what the rule wants to know of libraries that are known by their names."""
    return {
        name: LibraryFacts(
            name, real_names.get(name, name), public_versions(facts.defines), (paths or {}).get(name, name)
        )
        for name, facts in libraries.items()
    }


def public_versions(versions: Iterable[str]) -> frozenset[str]:
    """Return those of a library's versions that tell its age: private ones change as they like."""
    return frozenset(name for name in versions if not name.endswith("PRIVATE"))
