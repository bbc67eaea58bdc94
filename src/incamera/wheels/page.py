"""A project's page of a package index, cached in a form that is fast to read.

PyPI's page of a project with many releases has 15,000 files and 7 MB, of which a target can use a few hundred files.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from incamera.digest import Sha256
from incamera.wheels.tags import split_tags

if TYPE_CHECKING:
    from packaging.tags import Tag

    from incamera.simple_index import PageFile

# Raise it when the cached form changes: pages of an older form are then fetched again.
FORMAT = 2
_FILENAME = re.compile(r"[\w.+!-]+", re.ASCII)
_MAX_FILENAME = 255
_SDIST = "sdist"
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


class Page:
    """The files of a project in an index: a header, and JSON rows of the files, grouped by the tags in their names."""

    def __init__(self, header: dict[str, Any], groups: Mapping[str, bytes]) -> None:
        self.header = header
        self._groups = groups

    @property
    def is_missing(self) -> bool:
        """Whether the index has no such project."""
        return bool(self.header.get("missing"))

    @property
    def asked(self) -> float:
        """When the page was fetched, in seconds as `time.time` counts them."""
        return float(self.header["asked"])

    def dump(self) -> bytes:
        """Return the page in the form that `load_page` reads."""
        body = b"\n".join(tags.encode() + b"\t" + rows for tags, rows in self._groups.items())
        return json.dumps({**self.header, "check": zlib.crc32(body)}).encode() + b"\n" + body

    def files(self, project: str, tags: Collection[Tag] | None, version: Version | None) -> tuple[IndexFile, ...]:
        """Return the files, the newest version first: those that fit *tags* and *version*, unless these are None."""
        by_version: dict[str, list[tuple[str, list[Any]]]] = {}
        for group, rows in self._groups.items():
            if tags is None or group == _SDIST or any(tag in tags for tag in split_tags(group)):
                for row in json.loads(rows):
                    by_version.setdefault(row[0], []).append((group, row))
        # Each version is parsed and compared once, not once for each of its files, which would take most of the time.
        spellings: dict[Version, list[str]] = {}
        for spelling in by_version:
            with suppress(InvalidVersion):  # from before PEP 440: no requirement can name it
                spellings.setdefault(Version(spelling), []).append(spelling)
        found: list[IndexFile] = []
        for parsed in sorted(spellings, reverse=True) if version is None else {version} & spellings.keys():
            entries = [entry for spelling in spellings[parsed] for entry in by_version[spelling]]
            found += [_index_file(project, parsed, group, row) for group, row in sorted(entries, key=_filename)]
        return tuple(found)


def group_files(project: str, files: Iterable[PageFile]) -> dict[str, bytes]:
    """Return JSON rows of the usable *files*, by the tags in the names of wheels (`cp311-cp311-linux_armv7l`).

    Left out are files without a sha256, which a lock needs, other kinds of files (eggs, installers), and files whose
    name is not that of a distribution of *project*, or longer than a file's may be.
    """
    groups: dict[str, list[list[object]]] = {}
    for file in files:
        if not file.sha256 or len(file.filename) > _MAX_FILENAME or not _FILENAME.fullmatch(file.filename):
            continue
        split = _split_wheel(file.filename, project) or _split_sdist(file.filename, project)
        if split is None:
            continue
        group, version = split
        row: list[object] = [version, file.filename, file.url, file.sha256, file.size]
        groups.setdefault(group, []).append([*row, file.requires_python, file.yanked, file.metadata, file.upload_time])
    return {group: json.dumps(rows, separators=(",", ":")).encode() for group, rows in groups.items()}


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


def _is_name_of(name: str, project: str) -> bool:
    return name.replace("_", "-") == project or canonicalize_name(name) == project


def _filename(entry: tuple[str, list[Any]]) -> str:
    return str(entry[1][1])


def _index_file(project: str, version: Version, group: str, row: list[Any]) -> IndexFile:
    _, filename, url, sha256, size, requires_python, yanked, metadata, upload_time = row
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


def load_page(path: Path) -> Page | None:
    """Return the page cached in *path*; None when there is none, or it is damaged or of another format."""
    try:
        first, _, body = path.read_bytes().partition(b"\n")
        header = json.loads(first)
        if header["format"] != FORMAT or header["check"] != zlib.crc32(body):
            return None
        float(header["asked"])
        groups = (line.partition(b"\t") for line in body.split(b"\n") if line)
        return Page(header, {tags.decode(): rows for tags, _, rows in groups})
    except (OSError, ValueError, KeyError, TypeError):
        return None
