"""What a wheel or an sdist says it needs, learned without fetching the whole of it where that can be."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from incamera.disk import write_atomic
from incamera.errors import BuildError, IntegrityError
from incamera.http import NotFound, RangeNotSupported
from incamera.wheels.fetch import fetch_files
from incamera.wheels.remote import find_pkg_info, find_wheel_metadata, read_pkg_info, read_wheel_metadata

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.http import Http
    from incamera.store import Store
    from incamera.wheels.index import IndexFile

# Raise it when what is kept changes.
_FORMAT = 1
_LIMIT = 8 * 1024 * 1024
_DEPENDENCY_FIELDS = {"requires-dist", "requires-python", "provides-extra"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """The part of a distribution's core metadata that resolving needs."""

    name: str
    version: Version
    requires: tuple[Requirement, ...]
    requires_python: SpecifierSet | None
    extras: frozenset[str]


def fetch_wheel_metadata(file: IndexFile, http: Http, store: Store) -> Metadata:
    """Return what the wheel *file* says of itself: from the index, else out of the wheel's end, else the whole wheel.

    Raises BuildError, naming the file, when it makes no sense: that release can't be used.
    """

    def fetch() -> dict[str, Any]:
        return _fields(_wheel_metadata(file, http, store))

    return _parse(file, _remember(file, store, fetch))


def fetch_sdist_metadata(file: IndexFile, http: Http, store: Store) -> Metadata | None:
    """Return what the sdist *file* promises that every wheel built from it needs (PEP 643).

    None where only a build tells. Raises BuildError, as for wheels.
    """

    def fetch() -> dict[str, Any]:
        text = _sdist_metadata(file, http, store)
        return {} if text is None else _fields(text)

    fields = _remember(file, store, fetch)
    return _parse(file, fields) if fields and _is_static(fields) else None


def parse_metadata(text: bytes, filename: str) -> Metadata:
    """Return what the METADATA or PKG-INFO *text* of *filename* says. Raises BuildError."""
    return _parse_fields(_fields(text), filename)


def _wheel_metadata(file: IndexFile, http: Http, store: Store) -> bytes:
    if file.metadata is not None:
        try:
            text = http.get(f"{file.url}.metadata", limit=_LIMIT)
        except NotFound:
            pass  # some mirrors copy the page, but not these files
        else:
            if file.metadata and hashlib.sha256(text).hexdigest() != file.metadata:
                raise IntegrityError(
                    f"{file.filename}.metadata is not the file that the index has the hash of",
                    hint="the index, or something between it and you, changes files: try another index",
                )
            return text
    if store.find_blob(file.sha256) is None:
        try:
            return find_wheel_metadata(file, http)
        except RangeNotSupported:
            pass
    return read_wheel_metadata(_whole(file, http, store), file.filename)


def _sdist_metadata(file: IndexFile, http: Http, store: Store) -> bytes | None:
    if store.find_blob(file.sha256) is None:
        try:
            return find_pkg_info(file, http)
        except RangeNotSupported:
            pass
    return read_pkg_info(_whole(file, http, store), file.filename)


def _whole(file: IndexFile, http: Http, store: Store) -> Path:
    return fetch_files([file], http, store)[file]


def _fields(text: bytes) -> dict[str, Any]:
    """Return the headers that matter. The body, a description, may be 100 times as long."""
    headers = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(text)

    def values(name: str) -> list[str]:
        return [str(value).strip() for value in headers.get_all(name, [])]

    return {
        "metadata-version": values("Metadata-Version")[:1],
        "name": values("Name")[:1],
        "version": values("Version")[:1],
        "requires-dist": values("Requires-Dist"),
        "requires-python": values("Requires-Python")[:1],
        "provides-extra": values("Provides-Extra"),
        "dynamic": [value.lower() for value in values("Dynamic")],
    }


def _is_static(fields: dict[str, Any]) -> bool:
    try:
        major, minor = (int(part) for part in fields["metadata-version"][0].split(".")[:2])
    except (IndexError, ValueError):
        return False
    return (major, minor) >= (2, 2) and not _DEPENDENCY_FIELDS & set(fields["dynamic"])


def _parse(file: IndexFile, fields: dict[str, Any]) -> Metadata:
    metadata = _parse_fields(fields, file.filename)
    if metadata.name != file.project or metadata.version != file.version:
        raise BuildError(
            f"{file.filename} says of itself that it is {metadata.name} {metadata.version}",
            hint="its maker, or the index, has mixed something up: choose another version",
        )
    return metadata


def _parse_fields(fields: dict[str, Any], filename: str) -> Metadata:
    try:
        [name], [version] = fields["name"], fields["version"]
        python = fields["requires-python"]
        return Metadata(
            name=canonicalize_name(name),
            version=Version(version),
            requires=tuple(Requirement(" ".join(line.split())) for line in fields["requires-dist"]),
            requires_python=SpecifierSet(python[0]) if python and python[0] else None,
            extras=frozenset(canonicalize_name(extra) for extra in fields["provides-extra"]),
        )
    except (InvalidVersion, InvalidRequirement, InvalidSpecifier) as error:
        reason = " ".join(str(error).split())
        raise BuildError(f"the metadata of {filename} make no sense: {reason}") from error
    except ValueError as error:
        raise BuildError(f"the metadata of {filename} lack a name or a version") from error


def _remember(file: IndexFile, store: Store, fetch: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was kept for this very file, else what *fetch* returns, and keep that."""
    path = store.root / "caches" / "metadata" / file.sha256[:2] / f"{file.sha256}.json"
    try:
        kept = json.loads(path.read_bytes())
        if kept["format"] == _FORMAT and isinstance(kept["fields"], dict):
            return dict(kept["fields"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    fields = fetch()
    with store.reporting_disk_errors():
        write_atomic(path, json.dumps({"format": _FORMAT, "fields": fields}).encode())
    return fields
