"""A lock becomes the text of a lockfile. Equal locks give equal texts."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import tomli_w
from packaging.pylock import Package, PackageDirectory, PackageSdist, PackageVcs, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from incamera.project.git_source import parse_git_address
from incamera.project.lock_parsing import CREATED_BY

if TYPE_CHECKING:
    from incamera.project.locked import Lock, LockedBuild, LockedDistribution, LockedFile


def dump_lock(lock: Lock, requires_python: str) -> str:
    """Return the text of the lockfile for *lock*. Equal locks give equal texts."""
    pylock = Pylock(
        lock_version=Version("1.0"),
        requires_python=SpecifierSet(requires_python),
        created_by=CREATED_BY,
        packages=[_make_package(item, item.file, lock) for item in lock.distributions if item.file is not None],
    )
    # As `validate` does. Making the dictionary takes most of the time, so it is made once.
    standard = pylock.to_dict()
    Pylock.from_dict(standard)
    ours = {
        "target": str(lock.target),
        "inputs": lock.inputs,
        "distributions": [_dump_distribution(item) for item in lock.distributions],
        "debs": [{field.name: getattr(deb, field.name) for field in fields(deb)} for deb in lock.debs],
        **({"builds": [_dump_build(build) for build in lock.builds]} if lock.builds else {}),
    }
    # Added here, because Pylock would copy each value of it, several times.
    return tomli_w.dumps({**standard, "tool": {"incamera": ours}})


def _make_package(item: LockedDistribution, file: LockedFile, lock: Lock) -> Package:
    # Only packages in this list can be named as dependencies, and those from Debian are not in it.
    listed = {other.name for other in lock.distributions if other.file is not None}
    known = [{"name": name} for name in item.requires if name in listed]
    if file.path and not file.is_wheel:  # PEP 751 has no hash for a folder, and no version where it may change
        return Package(
            name=canonicalize_name(item.name),
            dependencies=known or None,
            directory=PackageDirectory(path=file.path),
            tool={"incamera": {"name": file.filename, "size": file.size, "sha256": file.sha256}},
        )
    place = {"path": file.path} if file.path else {"url": file.url}
    if file.is_git:
        git = parse_git_address(file.url)
        return Package(
            name=canonicalize_name(item.name),
            version=Version(item.version),
            dependencies=known or None,
            vcs=PackageVcs(
                type="git", url=git.url, commit_id=git.revision or "", subdirectory=git.subdirectory or None
            ),
            tool={"incamera": {"name": file.filename, "size": file.size, "sha256": file.sha256}},
        )
    values: dict[str, Any] = {"name": file.filename, "size": file.size, **place}
    hashes = {"sha256": file.sha256}
    return Package(
        name=canonicalize_name(item.name),
        version=Version(item.version),
        dependencies=known or None,
        wheels=[PackageWheel(**values, hashes=hashes)] if file.is_wheel else None,
        sdist=None if file.is_wheel else PackageSdist(**values, hashes=hashes),
    )


def _dump_build(build: LockedBuild) -> dict[str, Any]:
    sha256 = {"sha256": build.sdist} if build.sdist else {}
    return {"name": build.name, **sha256, "requires": list(build.requires), "files": list(map(_dump_file, build.files))}


def _dump_file(file: LockedFile) -> dict[str, Any]:
    size = {} if file.size is None else {"size": file.size}
    return {"name": file.filename, "url": file.url, "sha256": file.sha256, **size}


def _dump_distribution(item: LockedDistribution) -> dict[str, Any]:
    values = {"name": item.name, "version": item.version, "source": item.source, "why": item.why}
    if item.recipe:
        values["recipe"] = item.recipe
    lists = {"requires": list(item.requires), "passed_over": list(item.passed_over)}
    return values | {key: value for key, value in lists.items() if value}
