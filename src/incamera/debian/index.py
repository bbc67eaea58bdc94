"""The package index of a suite: which debs there are, their hashes and what they depend on.

An index holds some 60,000 stanzas (48 MB) of which a build needs fifty, so one scan finds where each begins, and only
those asked for are parsed. That takes 0.1 s, too little to be worth a cache of its own. The .gz is fetched where there
is one, although the .xz is a quarter smaller (11.7 and 8.5 MB): it unpacks in 0.2 s instead of 0.6 s.
"""

from __future__ import annotations

import lzma
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from incamera.debian.relation import Relation, parse_relations
from incamera.debian.release import IndexFile, Release, fetch_release
from incamera.debian.stanza import parse_stanza
from incamera.debian.version import version_key
from incamera.errors import FetchError, IntegrityError
from incamera.http import Http, NotFound, Progress
from incamera.names import closest
from incamera.waiting import await_result

if TYPE_CHECKING:
    from incamera.debian.mirror import Mirror
    from incamera.store import Store
    from incamera.targets.suite import Suite

_PAUSES_SECONDS = (0.5, 1.0, 2.0)
# A release file this old belongs to no update that is still under way: mirrors update several times a day.
_UPDATE_LASTS = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deb:
    """One package file of the archive. `filename` is its path in the pool, `archive` is "main" or "security"."""

    package: str
    version: str
    architecture: str
    filename: str
    archive: str
    size: int
    sha256: str
    installed_size: int = 0
    depends: str = ""
    pre_depends: str = ""
    provides: str = ""
    multi_arch: str = ""
    essential: bool = False

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def requirements(self) -> tuple[Relation, ...]:
        """What must be there too: Pre-Depends, then Depends."""
        return parse_relations(self.pre_depends) + parse_relations(self.depends)

    def provided_version(self, virtual: str) -> str | None:
        """Return the version in which this package provides *virtual*: "" for any, None for not at all."""
        for relation in parse_relations(self.provides):
            if relation[0].name == virtual:
                return relation[0].version
        return None


class PackageIndex:
    """The indexes of a suite's archives for one architecture, as one."""

    def __init__(self, archives: dict[str, bytes], *, warnings: Sequence[str] = ()) -> None:
        """*archives* holds the unpacked index of each archive, by the archive's name."""
        self.warnings = tuple(warnings)
        self._archives = archives
        self._places: dict[bytes, list[tuple[str, int]]] = {}
        for archive, data in archives.items():
            for name, start in _scan_packages(data):
                self._places.setdefault(name, []).append((archive, start))
        self._providers: dict[str, list[tuple[str, int]]] | None = None
        self._found: dict[str, list[Deb]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def find(self, name: str) -> list[Deb]:
        """Return the debs called *name*, newest first."""
        if name not in self._found:
            debs = [self._parse(*place) for place in self._places.get(name.encode(), ())]
            unique = {deb.sha256: deb for deb in reversed(debs)}  # of a deb in both archives, the first remains
            self._found[name] = sorted(
                unique.values(), key=lambda deb: (version_key(deb.version), deb.archive), reverse=True
            )
        return self._found[name]

    def providers(self, virtual: str) -> list[Deb]:
        """Return the debs that provide *virtual*, by name, and newest first."""
        if self._providers is None:
            self._providers = {}
            for archive, data in self._archives.items():
                for provided, start in _scan_provides(data):
                    self._providers.setdefault(provided, []).append((archive, start))
        names = {self._parse(*place).package for place in self._providers.get(virtual, ())}
        debs = [deb for name in sorted(names) for deb in self.find(name)]
        return [deb for deb in debs if deb.provided_version(virtual) is not None]

    def closest(self, name: str) -> list[str]:
        """Return the names most like *name*, best first."""
        # Comparing with all 60,000 takes seconds; a name mistyped from its first letter on is rare.
        return closest(name, sorted(key.decode() for key in self._places if key.startswith(name[:1].encode())))

    def _parse(self, archive: str, start: int) -> Deb:
        data = self._archives[archive]
        end = data.find(b"\n\n", start)
        try:
            fields = parse_stanza(data[start : end if end >= 0 else len(data)].decode("utf-8"))
            deb = Deb(
                package=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                filename=fields["Filename"],
                archive=archive,
                size=int(fields["Size"]),
                sha256=fields["SHA256"].lower(),
                installed_size=int(fields.get("Installed-Size", 0)) * 1024,
                depends=fields.get("Depends", ""),
                pre_depends=fields.get("Pre-Depends", ""),
                provides=fields.get("Provides", ""),
                multi_arch=fields.get("Multi-Arch", ""),
                essential=fields.get("Essential") == "yes",
            )
            # The path becomes part of an address, the hash one of a path in the store.
            if len(deb.sha256) != 64 or not deb.sha256.isalnum() or ".." in deb.filename.split("/"):
                raise ValueError("its hash or path is malformed")
            parse_relations(deb.provides), deb.requirements
            return deb
        except (KeyError, ValueError) as error:
            line = data[start : data.find(b"\n", start)].decode("utf-8", "replace")
            raise IntegrityError(f'the package index of {archive} is malformed at "{line}": {error}') from error


def load_indexes(
    suite: Suite,
    architecture: str,
    mirror: Mirror,
    http: Http,
    store: Store,
    *,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> PackageIndex:
    """Return the index of *suite*, its security archive included, for *architecture* (Debian's name for it).

    The release files are asked for each time, the indexes only when they have changed. Raises FetchError.
    Where the mirror has no sound index of the security archive, `warnings` says so, and main stands alone: some mirrors
    leave out an architecture there.
    """

    def load(archive: str, name: str) -> bytes:
        return _load_index(mirror.base(archive), name, architecture, mirror.allow_expired, http, store, progress, pause)

    warnings = []
    with ThreadPoolExecutor(2) as pool:
        main_load = pool.submit(load, "main", suite.name)
        security_load = pool.submit(load, "security", suite.security) if suite.security else None
        try:
            main = await_result(main_load)
            security = b""
            if security_load is not None:
                try:
                    security = await_result(security_load)
                except _NoIndex as error:
                    warnings.append(f"security updates for {suite.name} are left out: {error}")
        except KeyboardInterrupt:
            http.stop()  # or the pool would wait for what it fetches
            raise
    return PackageIndex({"main": main, "security": security}, warnings=warnings)


class _NoIndex(FetchError):
    """The mirror has the suite, but not the index that the suite's release file names."""


class _WrongIndex(IntegrityError):
    """The mirror has other bytes under the hash, or the only name, of that index."""


def _load_index(
    base: str,
    suite: str,
    architecture: str,
    allow_expired: bool,
    http: Http,
    store: Store,
    progress: Progress | None,
    pause: Callable[[float], None],
) -> bytes:
    for seconds in (*_PAUSES_SECONDS, None):
        release = fetch_release(base, suite, http, allow_expired=allow_expired)
        path = _choose_index(release, architecture)
        if path is None:
            known = sorted({name.split("/")[1].removeprefix("binary-") for name in release.files if "/binary-" in name})
            raise _NoIndex(f"{suite} has no packages for {architecture}", hint="it has " + ", ".join(known))
        try:
            data = _fetch_index(base, suite, path, release, http, store, progress)
            unpacked_file = release.files.get(path.rpartition(".")[0])
            return _unpack_index(data, path, unpacked_file.size if unpacked_file else 8 * len(data))
        except (NotFound, IntegrityError) as error:
            # A mirror that is being updated has the new release file before, or after, the indexes that it names.
            if seconds is None or datetime.now(UTC) - release.date > _UPDATE_LASTS:
                kind: type[FetchError] = _WrongIndex if isinstance(error, IntegrityError) else _NoIndex
                raise kind(
                    f"the mirror {base} is at odds with itself: {error}",
                    hint="it may be in the middle of an update: try again in some minutes, "
                    "or another INCAMERA_DEBIAN_MIRROR",
                ) from error
            pause(seconds)
    raise AssertionError("the last attempt returns or raises")


def _choose_index(release: Release, architecture: str) -> str | None:
    paths = (f"main/binary-{architecture}/Packages{ending}" for ending in (".gz", ".xz"))
    return next((path for path in paths if path in release.files), None)


def _fetch_index(
    base: str, suite: str, path: str, release: Release, http: Http, store: Store, progress: Progress | None
) -> bytes:
    """Return the index as it is in the archive, compressed, from the store if it is there."""
    wanted = release.files[path]
    if found := store.find_blob(wanted.sha256):
        return found.read_bytes()
    folder, _, plain = f"{base}/dists/{suite}/{path}".rpartition("/")
    if release.by_hash:
        # Some mirrors leave these folders out. What then stands under the plain name may be of another day.
        with suppress(NotFound):
            return _download(f"{folder}/by-hash/SHA256/{wanted.sha256}", wanted, http, store, progress)
        try:
            return _download(f"{folder}/{plain}", wanted, http, store, progress)
        except IntegrityError as error:
            raise NotFound(f"it has the index neither by its hash nor by its name: {error}") from error
    return _download(f"{folder}/{plain}", wanted, http, store, progress)


def _download(url: str, wanted: IndexFile, http: Http, store: Store, progress: Progress | None) -> bytes:
    with store.writing_blob(wanted.sha256, name=url) as blob:
        http.download(url, blob, size=wanted.size, progress=progress)
    return store.blob_path(wanted.sha256).read_bytes()


def _unpack_index(data: bytes, path: str, size: int) -> bytes:
    """*size* is what it will have; knowing it saves memory."""
    try:
        return zlib.decompress(data, wbits=31, bufsize=size) if path.endswith(".gz") else lzma.decompress(data)
    except (zlib.error, lzma.LZMAError) as error:
        raise IntegrityError(f"{path}: {error}") from error


def _scan_packages(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each stanza's package name and where the stanza begins; `Package` is its first field."""
    marker = b"Package: "
    start = 0 if data.startswith(marker) else data.find(b"\n" + marker) + 1
    while start or data.startswith(marker):
        end = data.find(b"\n", start)
        if end < 0:
            end = len(data)
        yield data[start + len(marker) : end].strip(), start
        start = data.find(b"\n\n" + marker, end) + 2
        if start == 1:
            return


def _scan_provides(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield each name that a stanza provides, and where the stanza begins."""
    marker = b"\nProvides: "
    place = data.find(marker)
    while place >= 0:
        begin = place + len(marker)
        end = data.find(b"\n", begin)
        while end >= 0 and data[end + 1 : end + 2] in (b" ", b"\t"):
            end = data.find(b"\n", end + 1)
        value = data[begin : end if end >= 0 else len(data)].decode("utf-8", "replace")
        start = data.rfind(b"\n\n", 0, place) + 2
        for item in value.split(","):
            if words := item.split():
                yield words[0], 0 if start == 1 else start
        place = data.find(marker, begin)
