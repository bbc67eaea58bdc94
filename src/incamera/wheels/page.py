"""A project's page of a package index, cached in a form that is fast to read.

PyPI's page of a project with many releases has 15,000 files and 7 MB, of which a target can use a few hundred files.
"""

from __future__ import annotations

import json
import mmap
import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import Version

from incamera.digest import Sha256
from incamera.wheels.tags import split_tags

if TYPE_CHECKING:
    from packaging.tags import Tag

    from incamera.simple_index import PageFile

# Raise it when the cached form changes: pages of an older form are then fetched again.
FORMAT = 6
_FILENAME = re.compile(r"[\w.+!-]+", re.ASCII)
_MAX_FILENAME = 255
_SDIST = "sdist"
_PLAIN_VERSION = re.compile(r"(?:0|[1-9]\d{0,17})(?:\.(?:0|[1-9]\d{0,17}))*", re.ASCII)
_TRAILING_ZEROS = re.compile(r"(?:\.0)+\Z")
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_SDIST_ENDINGS = (".tar.gz", ".zip")


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexFile:
    """A wheel or an sdist of a package index; *kind* says which.

    *project* is normalized. *size* is in bytes. *yanked* is the reason, None when the file is not yanked. *metadata* is
    the sha256 of its metadata file (PEP 658): empty where the index gives no hash, None where there is no such file.
    *path* is that of a wheel or folder of the user's own, which has no *url*: relative to the project's folder.
    """

    project: str
    filename: str
    version: Version
    kind: str
    url: str
    sha256: Sha256
    size: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata: Sha256 | Literal[""] | None = None
    upload_time: str | None = None
    path: str = ""

    @property
    def own_place(self) -> str:
        """Where it comes from, when that is no package index: a path, or a commit of a git repository; else empty."""
        return self.path or (self.url if self.url.startswith("git+") else "")


Row = list[Any]
"""Version, file name, URL, sha256, size, requires-python, yanked, the sha256 of the metadata, time of upload."""


class DamagedPage(Exception):
    """A part of a cached page does not have the checksum that its header gives."""


@dataclass(frozen=True, slots=True)
class NewestWheels:
    """The newest *version* of a project that has wheels, and the *platforms* in their names, sorted."""

    version: str
    platforms: tuple[str, ...]


class Page:
    """The files of a project in an index: a header, and JSON rows of the files, grouped by the tags in their names.

    Of a page from the store, only the groups that are asked for are read. Each is parsed once, also when the page is
    asked for several targets.
    """

    def __init__(self, header: dict[str, Any], body: _Body) -> None:
        self.header = header
        self._body = body
        self._loaded: dict[str, list[Row]] = {}
        self._files: dict[str, list[IndexFile]] = {}

    @property
    def is_missing(self) -> bool:
        """Whether the index has no such project."""
        return bool(self.header.get("missing"))

    @property
    def asked(self) -> float:
        """When the page was fetched, in seconds as `time.time` counts them."""
        return float(self.header["asked"])

    @property
    def newest_wheels(self) -> NewestWheels | None:
        """The newest version that has wheels; None where no version has."""
        newest = self._body.newest
        return None if newest is None else NewestWheels(str(newest[0]), tuple(newest[1]))

    def dump(self) -> bytes:
        """Return the page in the form that `load_page` reads."""
        directory = json.dumps(self._body.directory()).encode() + b"\n"
        header = {**self.header, "check": zlib.crc32(directory)}
        return json.dumps(header).encode() + b"\n" + directory + self._body.whole()

    def files(self, project: str, tags: Collection[Tag] | None, version: Version | None) -> tuple[IndexFile, ...]:
        """Return the files, the newest version first: those that fit *tags* and *version*, unless these are None.

        Raises DamagedPage.
        """
        if version is not None:
            places = ((self._body.groups[group], number) for group, number in self._body.places_of(version))
            rows = [(group, self._rows(group)[number]) for group, number in places if _fits(group, tags)]
            return tuple(sorted(filter(None, (_index_file(project, *row) for row in rows)), key=_filename))
        # Each version is compared once, not once for each of its files, which would take most of the time.
        by_version: dict[Version, list[IndexFile]] = {}
        for group in self._body.groups:
            for file in self._parsed(project, group) if _fits(group, tags) else ():
                by_version.setdefault(file.version, []).append(file)
        found: list[IndexFile] = []
        for key in sorted(by_version, reverse=True):
            found += sorted(by_version[key], key=_filename)
        return tuple(found)

    def _parsed(self, project: str, group: str) -> list[IndexFile]:
        if group not in self._files:
            files = (_index_file(project, group, row) for row in self._rows(group))
            self._files[group] = [file for file in files if file is not None]
        return self._files[group]

    def _rows(self, group: str) -> list[Row]:
        if group not in self._loaded:
            self._loaded[group] = self._body.rows(group)
        return self._loaded[group]


class _Body:
    """The groups of a page, as bytes: first where each version's rows are, then the rows of each group.

    *parts* gives the size and the checksum of each, *newest* the version and the platforms of the newest wheels.
    """

    def __init__(
        self,
        data: bytes | mmap.mmap,
        begin: int,
        groups: Sequence[str],
        parts: Sequence[tuple[int, int]],
        newest: tuple[str, Sequence[str]] | None,
    ) -> None:
        self.groups = groups
        self.newest = newest
        self._data = data
        self._begin = begin
        self._parts = parts
        self._starts = list(accumulate((size for size, _ in parts), initial=begin))
        self._numbers = {group: number for number, group in enumerate(groups, 1)}

    @classmethod
    def of(cls, groups: Mapping[str, Sequence[Row]]) -> Self:
        """Return the body for the rows of *groups*."""
        spellings: dict[str, list[int]] = {}
        for group, rows in enumerate(groups.values()):
            for number, row in enumerate(rows):
                spellings.setdefault(row[0], []).extend((group, number))
        parts = [_places(spellings), *(_ENCODER.encode(rows).encode() for rows in groups.values())]
        checked = [(len(part), zlib.crc32(part)) for part in parts]
        return cls(b"".join(parts), 0, list(groups), checked, _find_newest_wheels(list(groups), spellings))

    @classmethod
    def load(cls, data: mmap.mmap, begin: int, directory: Any) -> Self | None:
        """Return the body that begins at *begin* of *data*; None when its size is wrong."""
        groups, parts, newest = directory
        found = cls(data, begin, groups, parts, newest)
        return found if found._starts[-1] == len(data) else None

    def directory(self) -> list[Any]:
        """Return what `load` needs besides the data."""
        return [list(self.groups), [list(part) for part in self._parts], self.newest and list(self.newest)]

    def whole(self) -> bytes:
        return self._data[self._begin :]

    def places_of(self, version: Version) -> Iterable[tuple[int, int]]:
        """Return the place of each row of *version*: the numbers of its group, and of the row in that."""
        table = self._read(0)
        key = f"\n{canonicalize_version(version)} ".encode()
        begin = table.find(key) + len(key)
        if begin < len(key):
            return []
        numbers = json.loads(table[begin : table.index(b"\n", begin)])
        return zip(numbers[::2], numbers[1::2], strict=True)

    def rows(self, group: str) -> list[Row]:
        found: list[Row] = json.loads(self._read(self._numbers[group]))
        return found

    def _read(self, number: int) -> bytes:
        size, check = self._parts[number]
        part = self._data[self._starts[number] : self._starts[number] + size]
        if zlib.crc32(part) != check:
            raise DamagedPage
        return part


def make_page(header: dict[str, Any], groups: Mapping[str, Sequence[Row]]) -> Page:
    """Return the page with the rows of *groups*, which `group_files` returns."""
    return Page(header, _Body.of(groups))


def load_page(path: Path) -> Page | None:
    """Return the page cached in *path*; None when there is none, or it is damaged or of another format.

    A damaged group is noticed when it is read.
    """
    try:
        with path.open("rb") as stream:
            header = json.loads(stream.readline())
            directory = stream.readline()
            if header["format"] != FORMAT or header["check"] != zlib.crc32(directory):
                return None
            float(header["asked"])
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            body = _Body.load(data, stream.tell(), json.loads(directory))
        return None if body is None else Page(header, body)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


@lru_cache(maxsize=65536)
def parse_version(spelling: str) -> Version | None:
    """Return the version that the name of a file spells so; None when it is none."""
    try:
        return Version(spelling)
    except ValueError:  # InvalidVersion, or a number of more than 4300 digits
        return None


def _places(spellings: Mapping[str, Sequence[int]]) -> bytes:
    """Return a line for each version with the places of its rows, as *spellings* has them. It is searched, not parsed.

    A version may be spelled in several ways: 1.0 is 1.
    """
    places: dict[str, list[int]] = {}
    for spelling, numbers in spellings.items():
        if _PLAIN_VERSION.fullmatch(spelling):  # most are, and parsing takes far longer
            places.setdefault(_TRAILING_ZEROS.sub("", spelling), []).extend(numbers)
        elif (version := parse_version(spelling)) is not None:
            places.setdefault(canonicalize_version(version), []).extend(numbers)
    # A list of numbers looks the same in Python and in JSON.
    return "".join(["\n", *(f"{version} {numbers}\n" for version, numbers in places.items())]).encode()


def _find_newest_wheels(groups: Sequence[str], spellings: Mapping[str, Sequence[int]]) -> tuple[str, list[str]] | None:
    newest: Version | None = None
    wheels: set[str] = set()
    for spelling, numbers in spellings.items():
        tags = [groups[group] for group in numbers[::2] if groups[group] != _SDIST]
        version = parse_version(spelling)
        if not tags or version is None or (newest is not None and version < newest):
            continue
        wheels = {*tags} if version != newest else wheels | {*tags}
        newest = version
    platforms = sorted({platform for tags in wheels for platform in tags.rpartition("-")[2].split(".")})
    return None if newest is None else (str(newest), platforms)


def group_files(project: str, files: Iterable[PageFile]) -> dict[str, list[Row]]:
    """Return a row for each of the usable *files*, by the tags in the names of wheels (`cp311-cp311-linux_armv7l`).

    Left out are files without a sha256, which a lock needs, other kinds of files (eggs, installers), and files whose
    name is not that of a distribution of *project*, or longer than a file's may be.
    """
    groups: dict[str, list[Row]] = {}
    for filename, *more in files:
        if not more[1] or len(filename) > _MAX_FILENAME or not _FILENAME.fullmatch(filename):
            continue
        split = _split_wheel(filename, project) or _split_sdist(filename, project)
        if split is None:
            continue
        group, version = split
        row: Row = [version, filename, *more]
        if group in groups:
            groups[group].append(row)
        else:
            groups[group] = [row]
    return groups


def _split_wheel(filename: str, project: str) -> tuple[str, str] | None:
    """Return the tags and the version in the name of a wheel, which packaging's parser takes ten times as long for."""
    if not filename.endswith(".whl"):
        return None
    parts = filename[:-4].split("-")
    if len(parts) not in (5, 6) or not _is_name_of(parts[0], project):
        return None
    tags = "-".join(parts[-3:])
    return (tags, parts[1]) if split_tags(tags) else None


def _split_sdist(filename: str, project: str) -> tuple[str, str] | None:
    ending = next((ending for ending in _SDIST_ENDINGS if filename.endswith(ending)), None)
    if ending is None:
        return None
    # Names from before PEP 625 may contain hyphens: the name of the project tells where the version begins.
    words = filename.removesuffix(ending).split("-")
    for count in range(1, len(words)):
        if _is_name_of("-".join(words[:count]), project):
            return _SDIST, "-".join(words[count:])
    return None


@lru_cache(maxsize=1024)
def _is_name_of(name: str, project: str) -> bool:
    return name.replace("_", "-") == project or canonicalize_name(name) == project


def _filename(file: IndexFile) -> str:
    return file.filename


def _fits(group: str, tags: Collection[Tag] | None) -> bool:
    return tags is None or group == _SDIST or any(map(tags.__contains__, split_tags(group)))


def _index_file(project: str, group: str, row: Row) -> IndexFile | None:
    """Return the file of *row*; None where its version is from before PEP 440: no requirement can name that."""
    spelling, filename, url, sha256, size, requires_python, yanked, metadata, upload_time = row
    version = parse_version(spelling)
    if version is None:
        return None
    return IndexFile(
        project=project,
        filename=filename,
        version=version,
        kind="sdist" if group == _SDIST else "wheel",
        url=url,
        sha256=Sha256(sha256),
        size=size,
        requires_python=requires_python,
        yanked=yanked,
        metadata=Sha256(metadata) if metadata else metadata,
        upload_time=upload_time,
    )
