"""A package index, a Debian suite and recipes that a test makes up."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from incamera.debian.index import PackageIndex
from incamera.digest import Sha256
from incamera.errors import BuildError
from incamera.project.recipes import Recipe, Recipes
from incamera.project.settings_parsing import parse_project
from incamera.resolver.finder import CandidateFinder
from incamera.resolver.solve import Resolved, resolve
from incamera.targets.target import Target
from incamera.wheels.metadata import Metadata
from incamera.wheels.page import IndexFile, NewestWheels

ARMV7 = Target.parse("armv7hf")
AARCH64 = Target.parse("aarch64")


class World:
    """A package index, a Debian suite and recipes, for one target."""

    def __init__(self, target: Target = ARMV7) -> None:
        self.target = target
        self.files: dict[str, list[IndexFile]] = {}
        self.requires: dict[str, tuple[str, ...]] = {}
        self.stanzas: list[str] = []
        self.recipes: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.own: dict[str, IndexFile] = {}
        self.deb("python3.11-minimal", "3.11.2-6+deb12u6")

    def file(self, filename: str, *requires: str, **facts: Any) -> None:
        name, version = filename.removesuffix(".tar.gz").split("-")[:2]
        kind = "wheel" if filename.endswith(".whl") else "sdist"
        sha256 = Sha256.of(filename.encode())
        url = f"https://index.example/{filename}"
        project = name.replace("_", "-")
        file = IndexFile(
            project=project, filename=filename, version=Version(version), kind=kind, url=url, sha256=sha256, **facts
        )
        self.files.setdefault(project, []).append(file)
        self.requires[filename] = requires

    def wheel(self, name: str, version: str, *requires: str, platform: str | None = None, **facts: Any) -> None:
        tags = f"cp311-cp311-{platform}" if platform else "py3-none-any"
        self.file(f"{name.replace('-', '_')}-{version}-{tags}.whl", *requires, **facts)

    def sdist(self, name: str, version: str, *requires: str, **facts: Any) -> None:
        self.file(f"{name.replace('-', '_')}-{version}.tar.gz", *requires, **facts)

    def deb(self, package: str, version: str, depends: str = "") -> None:
        self.stanzas.append(
            f"Package: {package}\nVersion: {version}\nArchitecture: armhf\nDepends: {depends}\n"
            f"Filename: pool/{package}.deb\nSize: 1\nSHA256: {hashlib.sha256(package.encode()).hexdigest()}\n"
        )

    # The part of PackageIndexes that the finder uses

    def find(
        self, project: str, tags: Collection[object] | None = None, *, version: Version | None = None
    ) -> tuple[IndexFile, ...]:
        self.asked.append(project)
        files = [file for file in self.files.get(project, ()) if version in (None, file.version)]
        return tuple(sorted(files, key=lambda file: file.version, reverse=True))

    def find_newest_wheels(self, project: str) -> NewestWheels | None:
        wheels = [file for file in self.find(project) if file.kind == "wheel"]
        if not wheels:
            return None
        newest = [file for file in wheels if file.version == wheels[0].version]
        platforms = {part for file in newest for part in file.filename[:-4].rpartition("-")[2].split(".")}
        return NewestWheels(str(wheels[0].version), tuple(sorted(platforms)))

    def find_own(self, project: str) -> IndexFile | None:
        return self.own.get(project)

    def add_own(self, filename: str, *requires: str) -> None:
        self.file(filename, *requires, path=f"../{filename}")
        file = self.files[filename.split("-")[0]][-1]
        self.own[file.project] = file

    def prefetch(self, projects: Iterable[str]) -> None: ...

    def read_metadata(self, file: IndexFile, recipe: Recipe) -> Metadata:
        requires = self.requires[file.filename]
        if requires == ("broken",):
            raise BuildError(f"the metadata of {file.filename} are malformed")
        return Metadata(
            name=file.project,
            version=file.version,
            requires=tuple(Requirement(text) for text in requires),
            requires_python=None,
            extras=frozenset(),
        )

    def finder(self, **options: Any) -> CandidateFinder:
        tables = {name: (f"{name}.toml", table) for name, table in self.recipes.items()}
        return CandidateFinder(
            self.target,
            PackageIndex({"main": "\n".join(self.stanzas).encode()}),
            self,  # type: ignore[arg-type]
            Recipes(tables, self.target.architecture),
            read_metadata=self.read_metadata,
            **options,
        )


def solve(
    world: World, tmp_path: Path, *dependencies: str, preferred: Mapping[str, Any] | None = None, **settings: Any
) -> list[Resolved]:
    (tmp_path / "app.py").touch()
    table = {"project": {"name": "bell", "dependencies": list(dependencies)}, "tool": {"incamera": settings}}
    project = parse_project(table, tmp_path)
    return resolve(project, world.finder(sources=project.sources, preferred=preferred))


def chosen(resolved: list[Resolved]) -> dict[str, str]:
    return {item.candidate.name: f"{item.candidate.version} {item.candidate.source}" for item in resolved}
