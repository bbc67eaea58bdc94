"""The loader rule: of a library that bundle and camera both have, the newer one is used.

A library that only the camera has is used from there. The camera's own libraries (VDO, larod, …) share one libc, one
libstdc++ and one GLib with Python in a process. So for each soname the side with more symbol versions is taken. The
libraries of glibc, its loader included, are taken from one side together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.elf import ElfFacts

# The libraries of glibc: they call each other through private symbols, so those of two versions don't mix.
LIBC_FAMILY = re.compile(
    r"(?:ld-linux.*\.so\.\d|libc\.so\.6|libm\.so\.6|libmvec\.so\.1|libpthread\.so\.0|libdl\.so\.2|librt\.so\.1"
    r"|libutil\.so\.1|libresolv\.so\.2|libanl\.so\.1|libnss_\w+\.so\.2|libnsl\.so\.1|libBrokenLocale\.so\.1"
    r"|libthread_db\.so\.1|libc_malloc_debug\.so\.0|libmemusage\.so|libpcprofile\.so)"
)
_NUMBERS = re.compile(r"[0-9]+")
# Of a number, which anybody may write into a file.
_DIGITS = 9
_DEVICE_FOLDER = "device"


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """A library: its soname, the name of its file (without links), the symbol versions it defines, and its path."""

    soname: str
    real_name: str
    versions: frozenset[str]
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderPlan:
    """What is written into a bundle's `device` folder on one device.

    `loader`: the path of the camera's loader; None for the bundle's.
    `libraries`: the search path, folders of the bundle (relative) and of the camera (absolute).
    `links`: for each library in `device/lib`, the camera's file that it links to.
    `why`: for each soname that both sides have, which side's library is used, as text.
    """

    loader: str | None
    libraries: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        """The files to add to the bundle on this device, by path."""
        lines = ["# Written for this device when the bundle was deployed; overrides etc/launcher."]
        if self.loader is not None:
            lines.append(f"loader {self.loader}")
        lines.append("libraries " + ":".join(self.libraries))
        return {f"{_DEVICE_FOLDER}/launcher": "".join(f"{line}\n" for line in lines).encode()}

    @property
    def shipped_links(self) -> dict[str, str]:
        """The symbolic links to add to the bundle on this device: their paths, and what they link to."""
        return {f"{_DEVICE_FOLDER}/lib/{soname}": path for soname, path in self.links.items()}


def plan_loader(
    bundle: Mapping[str, LibraryFacts],
    device: Mapping[str, LibraryFacts],
    *,
    bundle_folders: Sequence[str],
    device_folders: Sequence[str],
    device_loader: str | None,
) -> LoaderPlan:
    """Decide for every soname that both sides have whose library is used.

    *bundle* and *device* map sonames to libraries, *device_loader* is the camera's loader; None where it has none.
    """
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
        chosen = "camera" if soname in links else "bundle"
        names = f"the camera has {device[soname].real_name}, the bundle {bundle[soname].real_name}"
        why[soname] = f"{chosen}: {names}" + (" (chosen together with libc)" if family else "")
    first = (f"{_DEVICE_FOLDER}/lib",) if links else ()
    return LoaderPlan(
        loader=device_loader if device_libc else None,
        libraries=(*first, *bundle_folders, *device_folders),
        links=links,
        why=why,
    )


def is_newer(one: LibraryFacts, other: LibraryFacts) -> bool:
    """Return whether *one* is newer than *other*: by its symbol versions or, if they are equal, by its file name."""
    if one.versions != other.versions:
        if one.versions > other.versions:
            return True
        if one.versions < other.versions:
            return False
        # Each has versions that the other lacks, as builds with different options do: compare the highest of those.
        highest, other_highest = _highest(one.versions - other.versions), _highest(other.versions - one.versions)
        if highest != other_highest:
            return highest > other_highest
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
    return tuple(int(number[:_DIGITS]) for number in _NUMBERS.findall(text))


def describe_libraries(
    libraries: Mapping[str, ElfFacts],
    real_names: Mapping[str, str],
    paths: Mapping[str, str] | None = None,
) -> dict[str, LibraryFacts]:
    """Return, for the loader rule, the facts of *libraries* by soname.

    *real_names* and *paths* give the name and the path of a library's file; a missing one is the soname.
    """
    return {
        name: LibraryFacts(
            name, real_names.get(name, name), public_versions(facts.defines), (paths or {}).get(name, name)
        )
        for name, facts in libraries.items()
    }


def public_versions(versions: Iterable[str]) -> frozenset[str]:
    """Return *versions* without private ones, which say nothing about a library's age."""
    return frozenset(name for name in versions if not name.endswith("PRIVATE"))


def parse_version(name: str) -> tuple[int, ...]:
    """Return (2, 36) for `GLIBC_2.36`."""
    return tuple(int(number[:_DIGITS]) for number in name.rpartition("_")[2].split(".") if _NUMBERS.fullmatch(number))
