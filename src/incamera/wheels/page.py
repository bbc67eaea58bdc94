"""One project's page of a package index, in a form that is quickly read.

PyPI's page of a project with many releases has 15,000 files and 7 MB; of these a target can use a few hundred.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from incamera.wheels.tags import split_tags

if TYPE_CHECKING:
    from packaging.tags import Tag

    from incamera.simple_index import PageFile

# Raise it when the kept form changes: what an older version wrote is then asked for anew.
FORMAT = 1
_FILENAME = re.compile(r"[\w.+!-]+", re.ASCII)
_SDIST = "sdist"
_SDIST_ENDINGS = (".tar.gz", ".zip")


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexFile:
    """A wheel or an sdist. `project` is normalized; `yanked` is the reason, None where it isn't yanked.

    `metadata` is the sha256 of PEP 658's file (empty where the index gives none), None where there is no such file.
    """

    project: str
    filename: str
    version: Version
    kind: str
    url: str
    sha256: str
    size: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata: str | None = None
    upload_time: str | None = None


class Page:
    """What an index said of a project: a header, and the files by the tags of their names, each group as JSON."""

    def __init__(self, header: dict[str, Any], groups: Mapping[str, bytes]) -> None:
        self.header = header
        self._groups = groups

    @property
    def is_missing(self) -> bool:
        return bool(self.header.get("missing"))

    @property
    def asked(self) -> float:
        return float(self.header["asked"])

    def dump(self) -> bytes:
        lines = [json.dumps(self.header).encode()]
        lines += [tags.encode() + b"\t" + rows for tags, rows in self._groups.items()]
        return b"\n".join(lines)

    def files(self, project: str, tags: Collection[Tag] | None, version: Version | None) -> tuple[IndexFile, ...]:
        by_version: dict[str, list[tuple[str, list[Any]]]] = {}
        for group, rows in self._groups.items():
            if tags is None or group == _SDIST or any(tag in tags for tag in split_tags(group)):
                for row in json.loads(rows):
                    by_version.setdefault(row[0], []).append((group, row))
        # Each version is parsed and compared once, not once for each of its files: that's most of the time.
        spellings: dict[Version, list[str]] = {}
        for spelling in by_version:
            with suppress(InvalidVersion):  # from before PEP 440: no requirement can mean it
                spellings.setdefault(Version(spelling), []).append(spelling)
        found: list[IndexFile] = []
        for parsed in sorted(spellings, reverse=True) if version is None else {version} & spellings.keys():
            entries = [entry for spelling in spellings[parsed] for entry in by_version[spelling]]
            found += [_index_file(project, parsed, group, row) for group, row in sorted(entries, key=_filename)]
        return tuple(found)


def group_files(project: str, files: Iterable[PageFile]) -> dict[str, bytes]:
    """Return rows of JSON for the usable *files*, by the tags in the names of wheels (`cp311-cp311-linux_armv7l`).

    Left out: files without a sha256, since nothing but a hash could tie a lock to them; other kinds (eggs, installers);
    what has no name of a distribution of *project*.
    """
    groups: dict[str, list[list[object]]] = {}
    for file in files:
        if len(file.sha256) != 64 or not _FILENAME.fullmatch(file.filename):
            continue
        split = _split_wheel(file.filename, project) or _split_sdist(file.filename, project)
        if split is None:
            continue
        group, version = split
        row: list[object] = [version, file.filename, file.url, file.sha256, file.size]
        groups.setdefault(group, []).append([*row, file.requires_python, file.yanked, file.metadata, file.upload_time])
    return {group: json.dumps(rows, separators=(",", ":")).encode() for group, rows in groups.items()}


def _split_wheel(filename: str, project: str) -> tuple[str, str] | None:
    """Return the tags and the version in a wheel's name: by cutting, since parsing takes ten times as long."""
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
    # Names from before PEP 625 may have hyphens in them: the project's own name tells where the version begins.
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
        sha256=sha256,
        size=size,
        requires_python=requires_python,
        yanked=yanked,
        metadata=metadata,
        upload_time=upload_time,
    )


def load_page(path: Path) -> Page | None:
    """Return what was kept at *path*; None where nothing was, or something else."""
    try:
        first, *lines = path.read_bytes().split(b"\n")
        header = json.loads(first)
        if header["format"] != FORMAT:
            return None
        float(header["asked"])
        return Page(header, {tags.decode(): rows for tags, _, rows in (line.partition(b"\t") for line in lines)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
