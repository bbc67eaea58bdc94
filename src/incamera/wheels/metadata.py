"""The metadata of a wheel or an sdist, without fetching the whole file where possible. Cached in the store."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from incamera.archives import shorten
from incamera.disk import write_atomic
from incamera.errors import BuildError, IntegrityError
from incamera.http import NotFound, RangeNotSupported
from incamera.wheels.fetch import fetch_files
from incamera.wheels.remote import find_pkg_info, find_wheel_metadata, read_pkg_info, read_wheel_metadata

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.http import Http
    from incamera.store import Store
    from incamera.wheels.fetch import Fetchable
    from incamera.wheels.index import IndexFile

# Raise it when the cached form changes.
_FORMAT = 3
_LIMIT = 8 * 1024 * 1024
_FIELDS = {
    *("metadata-version", "name", "version", "requires-dist", "requires-python", "provides-extra", "dynamic"),
}
# So many differences between metadata are shown.
_SHOWN_VALUES = 5
# Longer ones are no requirements. Python refuses to make a number of more than 4300 digits.
_MAX_REQUIREMENT = 4000
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

    def fetch() -> tuple[dict[str, Any], bool]:
        text, checked = _wheel_metadata(file, http, store)
        return _fields(text), checked

    return _parse(file, _cached(file, store, fetch))


def fetch_sdist_metadata(file: IndexFile, http: Http, store: Store) -> Metadata | None:
    """Return the metadata of the sdist *file* that hold for every wheel built from it (PEP 643).

    None when they are dynamic, so that only a build tells. Raises BuildError or FetchError, as for wheels.
    """

    def fetch() -> tuple[dict[str, Any], bool]:
        text, checked = _sdist_metadata(file, http, store)
        return {} if text is None else _fields(text), checked

    fields = _cached(file, store, fetch)
    return _parse(file, fields) if fields and _is_static(fields) else None


def parse_metadata(text: bytes, filename: str) -> Metadata:
    """Return the metadata in *text*, the METADATA or PKG-INFO of *filename*. Raises BuildError when malformed."""
    return _parse_fields(_fields(text), filename)


def _wheel_metadata(file: IndexFile, http: Http, store: Store) -> tuple[bytes, bool]:
    """Return METADATA, and whether a hash vouches for it. If none does, `check_metadata` compares it later."""
    found = store.find_blob(file.sha256)
    if file.metadata is not None and (file.metadata or found is None):
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
            return text, bool(file.metadata)
    if found is None:
        try:
            return find_wheel_metadata(file, http), False
        except RangeNotSupported:
            pass
    path = _fetch_whole(file, http, store)
    with store.reading_blob(path, name=file.filename):
        return read_wheel_metadata(path, file.filename), True


def _sdist_metadata(file: IndexFile, http: Http, store: Store) -> tuple[bytes | None, bool]:
    if store.find_blob(file.sha256) is None:
        try:
            return find_pkg_info(file, http), False
        except RangeNotSupported:
            pass
    path = _fetch_whole(file, http, store)
    with store.reading_blob(path, name=file.filename):
        return read_pkg_info(path, file.filename), True


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
            requires=tuple(_requirement(" ".join(line.split())) for line in fields["requires-dist"]),
            requires_python=SpecifierSet(_bounded(python[0])) if python and python[0] else None,
            extras=frozenset(canonicalize_name(extra) for extra in fields["provides-extra"]),
        )
    except (InvalidVersion, InvalidRequirement, InvalidSpecifier, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise BuildError(f"the metadata of {filename} are malformed: {reason}") from error
    except ValueError as error:
        raise BuildError(f"the metadata of {filename} lack a name or a version") from error


@lru_cache(maxsize=8192)
def _requirement(text: str) -> Requirement:
    """Return the requirement *text*: the same one for all targets, which only read it."""
    return Requirement(_bounded(text))


def _bounded(text: str) -> str:
    if len(text) > _MAX_REQUIREMENT:
        raise InvalidRequirement(f"{shorten(text)} has {len(text)} characters")
    return text


def check_metadata(file: Fetchable, path: Path, store: Store) -> None:
    """Compare what was believed of the wheel or sdist *file* before it was fetched with what it has itself, at *path*.

    Raises IntegrityError when they differ. Does nothing when nothing was believed.
    """
    cached = _load(file, store)
    if cached is None or cached["checked"]:
        return
    with store.reading_blob(path, name=file.filename):
        own = _own_fields(path, file.filename)
    for name, believed in cached["fields"].items():
        index, actual = _normal(believed), _normal(own.get(name, []))
        if index != actual:
            raise IntegrityError(
                f"{file.filename} has other metadata than the package index said: "
                f"{_describe(name, index - actual)} in the index, {_describe(name, actual - index)} in the file",
                hint="the index, or a proxy on the way, changes metadata: `incamera lock` chooses again, by those in "
                "the file",
            )
    _save(file, store, cached["fields"], checked=True)


def _own_fields(path: Path, filename: str) -> dict[str, Any]:
    """Return the fields of the whole wheel or sdist at *path*."""
    if filename.endswith(".whl"):
        return _fields(read_wheel_metadata(path, filename))
    text = read_pkg_info(path, filename)
    return {} if text is None else _fields(text)


def _normal(values: Sequence[str]) -> set[str]:
    return {re.sub(r"\s+", "", value) for value in values}


def _describe(name: str, values: set[str]) -> str:
    shown = sorted(values)[:_SHOWN_VALUES] + ["…"] * (len(values) > _SHOWN_VALUES)
    return f"{name.title()}: {', '.join(shown)}" if values else f"no other {name.title()}"


def _cached(file: Fetchable, store: Store, fetch: Callable[[], tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    """Return the cached fields of *file*, or the result of *fetch*, which is then cached.

    *fetch* also returns whether a hash vouches for them. Where none does, they are read again as soon as the store has
    the file.
    """
    cached = _load(file, store)
    if cached is not None and (cached["checked"] or store.find_blob(file.sha256) is None):
        return dict(cached["fields"])
    fields, checked = fetch()
    _save(file, store, fields, checked=checked)
    return fields


def _load(file: Fetchable, store: Store) -> dict[str, Any] | None:
    """Return what the cache has of *file*; None when it has nothing, or that is damaged."""
    try:
        cached = json.loads(_cache_path(file, store).read_bytes())
        fields, checked = cached["fields"], cached["checked"]
        is_whole = cached["format"] == _FORMAT and cached["check"] == _check(fields, checked)
        if is_whole and isinstance(checked, bool) and _is_sound(fields):
            return dict(cached)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _is_sound(fields: object) -> bool:
    return (
        isinstance(fields, dict)
        and (not fields or fields.keys() == _FIELDS)
        and all(
            isinstance(values, list) and all(isinstance(value, str) for value in values) for values in fields.values()
        )
    )


def _check(fields: object, checked: object) -> int:
    return zlib.crc32(json.dumps([fields, checked]).encode())


def _save(file: Fetchable, store: Store, fields: dict[str, Any], *, checked: bool) -> None:
    check = _check(fields, checked)
    text = json.dumps({"format": _FORMAT, "check": check, "checked": checked, "fields": fields})
    with store.reporting_disk_errors():
        write_atomic(_cache_path(file, store), text.encode())


def _cache_path(file: Fetchable, store: Store) -> Path:
    return store.root / "caches" / "metadata" / file.sha256[:2] / f"{file.sha256}.json"
