"""Policies: the libraries that a camera of a profile, or a live device, provides; and the bare runtime of a target.

tools/make_policies.py reads them from virtual cameras and bare runtimes, and writes them to data/policies and
data/runtimes. data/camera_api.toml names the libraries that real cameras have and virtual ones lack (VDO, larod, …).
"""

from __future__ import annotations

import json
import lzma
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from incamera.abi.loader_rule import LibraryFacts, describe_libraries
from incamera.abi.objects import Object
from incamera.elf import ElfFacts, Symbols, parse_exports, parse_facts
from incamera.errors import ConfigError
from incamera.targets.profile import Profile, require_profile

if TYPE_CHECKING:
    from incamera.targets.architecture import Architecture
    from incamera.targets.target import Target

# The first AXIS OS track whose 32-bit systems have a 64-bit time_t.
_TIME64_TRACK = (13, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiLibrary:
    """A library of camera_api.toml, which must come from the camera.

    `versions`: the symbol versions that real programs need. `since`: the first AXIS OS track that has it.
    """

    soname: str
    versions: tuple[str, ...]
    since: tuple[int, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a camera provides.

    `loader`: the path of its loader; None where it has none.
    `folders`: those that its loader searches.
    `libraries`: by soname. `real_names`: the names of their files.
    `api`: the sonames taken from camera_api.toml, whose symbols are not known.
    `page_size` is in bytes.
    """

    name: str
    architecture: Architecture
    loader: str | None
    folders: tuple[str, ...]
    libraries: Mapping[str, Object]
    real_names: Mapping[str, str]
    api: frozenset[str]
    page_size: int
    time_bits: int | None
    """The width in bits of the camera's time_t; None when it follows from each library's symbols."""

    def facts(self) -> dict[str, LibraryFacts]:
        """Return the facts of each library that the loader rule compares, by soname."""
        return describe_libraries(
            {name: item.facts for name, item in self.libraries.items()},
            self.real_names,
            {name: item.path for name, item in self.libraries.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What every bundle of *target* has: the interpreter and the libraries in `lib/`."""

    target: Target
    program: Object
    libraries: Mapping[str, Object]
    real_names: Mapping[str, str]


@cache
def load_policy(profile: str) -> Policy:
    """Return what a camera of *profile* provides. Raises ConfigError for an unknown profile."""
    known = require_profile(profile)
    return make_policy(
        json.loads(_data("policies", f"{profile}.json").read_bytes()),
        name=profile,
        architecture=known.architecture,
        track=_parse_track(known),
        exports=cache(lambda: _load_exports(f"policies/{profile}")),
    )


def make_policy(
    document: Mapping[str, Any],
    *,
    name: str,
    architecture: Architecture,
    track: tuple[int, ...] | None,
    exports: Callable[[], Mapping[str, Symbols]],
) -> Policy:
    """Return the policy of the camera that *document* describes, in the format that tools/make_policies.py writes.

    *exports* loads the symbols of its libraries by real file name. *track* is the AXIS OS track of a profile, whose
    camera is taken to have the libraries of `camera_api.toml`, too; None for a live device, which has only what was
    found in it.
    """
    libraries, real_names = _parse_libraries(document["libraries"], exports, camera=True)
    api = {}
    if track is not None:
        for library in load_api().values():
            if library.since <= track and library.soname not in libraries:
                facts = ElfFacts(
                    machine=architecture.facts.elf_machine,
                    bits=architecture.facts.bits,
                    soname=library.soname,
                    defines=library.versions,
                )
                api[library.soname] = Object(f"/usr/lib/{library.soname}", facts, camera=True)
    return Policy(
        name=name,
        architecture=architecture,
        loader=document["loader"],
        folders=tuple(document["folders"]),
        libraries=libraries | api,
        real_names=real_names,
        api=frozenset(api),
        page_size=document["page_size"],
        time_bits=None if track is None else 32 if architecture.facts.bits == 32 and track < _TIME64_TRACK else 64,
    )


@cache
def load_runtime(target: Target) -> Runtime:
    """Return the bare runtime of *target*. Raises ConfigError when there is no data for it."""
    try:
        document = json.loads(_data("runtimes", f"{target}.json").read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"incamera has no audit data for {target}: which libraries its bundles bring") from None
    exports = cache(lambda: _load_exports(f"runtimes/{target}"))
    libraries, real_names = _parse_libraries(document["libraries"], exports, camera=False)
    program = _make_object(document["program"], exports, camera=False)
    return Runtime(target=target, program=program, libraries=libraries, real_names=real_names)


def _parse_libraries(
    rows: Sequence[Mapping[str, Any]], exports: Callable[[], Mapping[str, Symbols]], *, camera: bool
) -> tuple[dict[str, Object], dict[str, str]]:
    libraries = {row["name"]: _make_object(row, exports, camera=camera) for row in rows}
    return libraries, {row["name"]: row["real_name"] for row in rows}


def _make_object(row: Mapping[str, Any], exports: Callable[[], Mapping[str, Symbols]], *, camera: bool) -> Object:
    file = row["real_name"]
    return Object(
        row["path"],
        parse_facts(row),
        read=lambda: exports().get(file),
        camera=camera,
        base=not camera,
        time_bits=row.get("time_bits"),
    )


def _load_exports(name: str) -> dict[str, Symbols]:
    """Return the symbols by file name. In the data, a line `=NAME` begins a file, and `elf.dump_exports` the rest."""
    text = lzma.decompress(_data(f"{name}.symbols.xz").read_bytes()).decode()
    parts = (part.split("\n") for part in text.split("\n=")[1:])
    return {file: Symbols((), frozenset(), parse_exports(lines)) for file, *lines in parts}


@cache
def load_api() -> dict[str, ApiLibrary]:
    """Return the libraries of camera_api.toml by soname."""
    tables = tomllib.loads(_data("camera_api.toml").read_text("utf-8"))
    return {
        soname: ApiLibrary(
            soname=soname,
            versions=tuple(table["versions"]),
            since=tuple(int(number) for number in table["since"].split(".")),
            source=table["source"],
        )
        for soname, table in tables["libraries"].items()
    }


def _parse_track(profile: Profile) -> tuple[int, ...]:
    return tuple(int(number) for number in profile.track.split("."))


def _data(*names: str) -> Traversable:
    return resources.files("incamera.abi").joinpath("data", *names)
