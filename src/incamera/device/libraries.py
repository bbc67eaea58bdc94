"""The loader rule: of a library that both sides have the newer is used, and what only the camera has comes from it.

The camera's own libraries (VDO, larod, …) share one libc, one libstdc++ and one GLib with Python in a process. So, for
each name, the side whose library offers more is taken; the C library, its loader and their kin move as one.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.device.facts import DeviceFacts
    from incamera.device.session import Session
    from incamera.tree import Entry

# glibc's own: they call each other through private symbols, so those of two versions don't mix.
_LIBC_FAMILY = re.compile(
    r"(?:ld-linux.*\.so\.\d|libc\.so\.6|libm\.so\.6|libmvec\.so\.1|libpthread\.so\.0|libdl\.so\.2|librt\.so\.1"
    r"|libutil\.so\.1|libresolv\.so\.2|libanl\.so\.1|libnss_\w+\.so\.2|libnsl\.so\.1|libBrokenLocale\.so\.1"
    r"|libthread_db\.so\.1|libc_malloc_debug\.so\.0|libmemusage\.so|libpcprofile\.so)"
)
_NUMBERS = re.compile(r"\d+")
_READ_SECONDS = 300.0
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
        family = _LIBC_FAMILY.fullmatch(soname) is not None
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


def read_versions(data: bytes) -> frozenset[str]:
    """Return the symbol versions that an ELF file defines; none for what isn't one. Private ones don't count."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerDefSection

    try:
        section = ELFFile(io.BytesIO(data)).get_section_by_name(".gnu.version_d")
        if not isinstance(section, GNUVerDefSection):
            return frozenset()
        names = {next(auxiliaries).name for _, auxiliaries in section.iter_versions()}
    except (ELFError, StopIteration):
        return frozenset()
    # The first definition is the library's own name.
    return frozenset(name for name in names if not name.endswith("PRIVATE") and ".so" not in name)


def find_bundle_libraries(entries: Iterable[Entry], folders: Sequence[str]) -> dict[str, tuple[Entry, str]]:
    """Return, for each name below *folders*, the entry of its real file and that file's name."""
    by_path = {entry.path: entry for entry in entries}
    found: dict[str, tuple[Entry, str]] = {}
    for folder in folders:
        for path, entry in by_path.items():
            parent, _, name = path.rpartition("/")
            if parent != folder.strip("/") or ".so" not in name or name in found:
                continue
            real: Entry | None = entry
            for _ in range(8):
                if real is None or not real.link:
                    break
                real = by_path.get(os.path.normpath(f"{real.path.rpartition('/')[0]}/{real.link}"))
            if real is not None and not real.link:
                found[name] = (real, real.path.rpartition("/")[2])
    return found


def ensure_loader_plan(
    session: Session,
    facts: DeviceFacts,
    root: Path,
    entries: Sequence[Entry],
    *,
    folders: Sequence[str],
    real_names: Mapping[str, str],
    cache: Path,
) -> LoaderPlan:
    """Return the plan for the bundle in *root* on the device.

    *folders* are the bundle's own library folders, as etc/launcher has them; *real_names* is what their libraries were
    called before they were laid down by soname. The symbol versions of the device's libraries are read from the device
    once per firmware, and kept in the folder *cache*.
    """
    ours = find_bundle_libraries(entries, folders)
    candidates = {library.soname: library for library in facts.libraries if library.soname in ours}
    known = _Versions(cache / f"libraries-{facts.fingerprint}.json")
    missing = [library.path for soname, library in candidates.items() if soname not in known.table]
    if missing:
        for path, data in read_files(session, missing).items():
            known.table[path.rpartition("/")[2]] = sorted(read_versions(data))
        known.save()
    local = _Versions(cache / "libraries-of-bundles.json")
    for soname in candidates:
        entry, _ = ours[soname]
        if entry.sha256 not in local.table:
            local.table[entry.sha256] = sorted(read_versions((root / entry.path).read_bytes()))
    local.save()
    return plan_loader(
        {
            soname: LibraryFacts(
                soname, real_names.get(soname, ours[soname][1]), frozenset(local.table[ours[soname][0].sha256]), soname
            )
            for soname in candidates
        },
        {
            soname: LibraryFacts(soname, library.real_name, frozenset(known.table.get(soname, ())), library.path)
            for soname, library in candidates.items()
        },
        bundle_folders=folders,
        device_folders=facts.library_folders,
        device_loader=facts.loader,
    )


def read_files(session: Session, paths: Sequence[str]) -> dict[str, bytes]:
    """Read files from the device, all in one archive; links are followed, and what cannot be read is left out."""
    import tarfile

    words = shlex.join(path.lstrip("/") for path in paths)
    result = session.run(f"cd / && tar -c -h -f - {words}", timeout=_READ_SECONDS)
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                files["/" + member.name.lstrip("./")] = stream.read()
    return files


class _Versions:
    """A table of symbol versions, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.table: dict[str, list[str]] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            self.table = {}
        self._before = len(self.table)

    def save(self) -> None:
        if len(self.table) == self._before:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(self.table, stream)
        Path(temporary).replace(self._path)
        self._before = len(self.table)
