"""The metadata of a wheel or an sdist, without fetching the whole file where possible. Cached in the store."""

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

# Raise it when the cached form changes.
_FORMAT = 1
_LIMIT = 8 * 1024 * 1024
_DEPENDENCY_FIELDS = {"requires-dist", "requires-python", "provides-extra"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """The fields of a distribution's core metadata that resolving needs."""

    name: str
    version: Version
    requires: tuple[Requirement, ...]
    requires_python: SpecifierSet | None
    extras: frozenset[str]


def fetch_wheel_metadata(file: IndexFile, http: Http, store: Store) -> Metadata:
    """Return the metadata of the wheel *file*: from the index, else from the end of the wheel, else from all of it.

    Raises BuildError that names the file when they are malformed, FetchError when they cannot be fetched.
    """

    def fetch() -> dict[str, Any]:
        return _fields(_wheel_metadata(file, http, store))

    return _parse(file, _cached(file, store, fetch))


def fetch_sdist_metadata(file: IndexFile, http: Http, store: Store) -> Metadata | None:
    """Return the metadata of the sdist *file* that hold for every wheel built from it (PEP 643).

    None when they are dynamic, so that only a build tells. Raises BuildError or FetchError, as for wheels.
    """

    def fetch() -> dict[str, Any]:
        text = _sdist_metadata(file, http, store)
        return {} if text is None else _fields(text)

    fields = _cached(file, store, fetch)
    return _parse(file, fields) if fields and _is_static(fields) else None


def parse_metadata(text: bytes, filename: str) -> Metadata:
    """Return the metadata in *text*, the METADATA or PKG-INFO of *filename*. Raises BuildError when malformed."""
    return _parse_fields(_fields(text), filename)


def _wheel_metadata(file: IndexFile, http: Http, store: Store) -> bytes:
    if file.metadata is not None:
        try:
            text = http.get(f"{file.url}.metadata", limit=_LIMIT)
        except NotFound:
            pass  # some mirrors copy the page, but not the metadata files
        else:
            if file.metadata and hashlib.sha256(text).hexdigest() != file.metadata:
                raise IntegrityError(
                    f"{file.filename}.metadata does not have the sha256 that the index gives",
                    hint="the index, or a proxy on the way, changes files: try another index",
                )
            return text
    if store.find_blob(file.sha256) is None:
        try:
            return find_wheel_metadata(file, http)
        except RangeNotSupported:
            pass
    return read_wheel_metadata(_fetch_whole(file, http, store), file.filename)


def _sdist_metadata(file: IndexFile, http: Http, store: Store) -> bytes | None:
    if store.find_blob(file.sha256) is None:
        try:
            return find_pkg_info(file, http)
        except RangeNotSupported:
            pass
    return read_pkg_info(_fetch_whole(file, http, store), file.filename)


def _fetch_whole(file: IndexFile, http: Http, store: Store) -> Path:
    return fetch_files([file], http, store)[file]


def _fields(text: bytes) -> dict[str, Any]:
    """Return the headers that `Metadata` needs. The body, a description, may be 100 times as long."""
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
            f"{file.filename} has the metadata of {metadata.name} {metadata.version}",
            hint="the file is not what its name says: choose another version",
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
        raise BuildError(f"the metadata of {filename} are malformed: {reason}") from error
    except ValueError as error:
        raise BuildError(f"the metadata of {filename} lack a name or a version") from error


def _cached(file: IndexFile, store: Store, fetch: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the cached fields of *file*, or the result of *fetch*, which is then cached."""
    path = store.root / "caches" / "metadata" / file.sha256[:2] / f"{file.sha256}.json"
    try:
        cached = json.loads(path.read_bytes())
        if cached["format"] == _FORMAT and isinstance(cached["fields"], dict):
            return dict(cached["fields"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    fields = fetch()
    with store.reporting_disk_errors():
        write_atomic(path, json.dumps({"format": _FORMAT, "fields": fields}).encode())
    return fields
