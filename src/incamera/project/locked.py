"""What a lock holds, as values: Debian packages, distributions, files, and what builds require."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from incamera.digest import Sha256
    from incamera.targets.target import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedDeb:
    """A Debian package. *filename* is its path in *archive* ("main" or "security"), *size* is in bytes."""

    package: str
    version: str
    architecture: str
    archive: str
    filename: str
    size: int
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedFile:
    """A wheel or sdist of a package index. *url* is where it was found: other indexes may have it, too.

    *size* is in bytes, None where the index gave none. *path* is that of a wheel or folder of the user's own, relative
    to the lockfile; a folder was packed into an sdist. Nothing is read from it: pyproject.toml has to name it, too.
    The same holds for a *url* that begins with `git+`: the folder of a commit was packed.
    """

    filename: str
    url: str
    sha256: Sha256
    size: int | None = None
    path: str = ""

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")

    @property
    def is_own(self) -> bool:
        """Whether it comes from the user, and not from a package index."""
        return bool(self.path) or self.is_git

    @property
    def is_git(self) -> bool:
        """Whether it was packed from a commit of a git repository."""
        return self.url.startswith("git+")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedDistribution:
    """A Python distribution: its *source*, *why* it comes from there, and why not from the sources *passed_over*.

    *file* is None when it comes in a Debian package. *requires* are the names of the distributions that it needs.
    *recipe* is the digest of the recipe that an sdist is built with: the debs in the lock were chosen for that recipe.
    """

    name: str
    version: str
    source: str
    why: str
    file: LockedFile | None = None
    requires: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    recipe: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedBuild:
    """What the build of a wheel requires: of the sdist with the hash *sdist*, or of the project itself (empty).

    *requires* are the requirements, with those that the back end adds. *files* satisfy them, and what these need.
    """

    name: str
    sdist: str
    requires: tuple[str, ...]
    files: tuple[LockedFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """The packages of a project for *target*. *inputs* is a digest of the settings that they were chosen for."""

    target: Target
    inputs: str
    distributions: tuple[LockedDistribution, ...]
    debs: tuple[LockedDeb, ...]
    builds: tuple[LockedBuild, ...] = ()

    @property
    def digest(self) -> str:
        """A digest of what the runtime depends on: the packages, not where or when they were locked."""
        files = [f"{item.source} {item.file.sha256}" for item in self.distributions if item.file is not None]
        return hashlib.sha256(
            "\n".join([*sorted(deb.sha256 for deb in self.debs), *sorted(files)]).encode()
        ).hexdigest()

    def find(self, name: str) -> LockedDistribution | None:
        """Return the distribution called *name*; None when the lock has none."""
        return next((item for item in self.distributions if item.name == name), None)

    def build_digest(self, sdist: str) -> str:
        """Return a digest of what a build depends on; *sdist* as in `LockedBuild`."""
        return build_digest(self.builds, sdist)


def build_digest(builds: Iterable[LockedBuild], sdist: str) -> str:
    """Return a digest of all files that the build of *sdist* requires: also for those that are built themselves."""
    known = {build.sdist: build for build in builds}
    found: set[str] = set()
    queue = [sdist]
    while queue:
        build = known.get(queue.pop())
        new = {file.sha256 for file in build.files} - found if build is not None else set()
        found |= new
        queue += new
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()
