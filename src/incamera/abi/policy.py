"""Policies: what a camera provides, from a profile's data or from a live device; and the bare runtime of a target.

The data beside this module are made by data/make_policies.py from what virtual cameras and bare runtimes really have.
What no virtual camera has, the libraries of the camera's own interfaces, is in data/camera_api.toml.
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

# The track with which a 32-bit AXIS OS changes to a 64-bit time_t, as Debian did with trixie.
_TIME64_TRACK = (13, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiLibrary:
    """A library of the camera's own: it must come from the camera. `versions` are those seen in real programs."""

    soname: str
    versions: tuple[str, ...]
    since: tuple[int, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """`libraries` are the camera's by soname; `api` those of them that nobody could look into."""

    name: str
    architecture: Architecture
    loader: str | None
    folders: tuple[str, ...]
    libraries: Mapping[str, Object]
    real_names: Mapping[str, str]
    api: frozenset[str]
    page_size: int
    time_bits: int | None
    """How wide a time is there; None where each library says so itself."""

    def facts(self) -> dict[str, LibraryFacts]:
        """Return what the loader rule wants to know of each library."""
        return describe_libraries(
            {name: item.facts for name, item in self.libraries.items()},
            self.real_names,
            {name: item.path for name, item in self.libraries.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a bundle of *target* has at least: the interpreter and the libraries in `lib/`."""

    target: Target
    program: Object
    libraries: Mapping[str, Object]
    real_names: Mapping[str, str]


@cache
def load_policy(profile: str) -> Policy:
    """Return what a camera of that profile provides. Raises ConfigError for an unknown one."""
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
    """Return the policy of a camera that *document* describes, as data/make_policies.py writes it.

    *exports* loads the symbols of its libraries by real file name. *track* is the AXIS OS track of a profile, whose
    camera is taken to have the libraries of `camera_api.toml`, too; None for a live device, which has only what was
    found in it.
    """
    libraries, real_names = _parse_libraries(document["libraries"], exports, camera=True)
    unseen = {}
    if track is not None:
        for library in load_api().values():
            if library.since <= track and library.soname not in libraries:
                facts = ElfFacts(
                    machine=architecture.facts.elf_machine,
                    bits=architecture.facts.bits,
                    soname=library.soname,
                    defines=library.versions,
                )
                unseen[library.soname] = Object(f"/usr/lib/{library.soname}", facts, camera=True)
    return Policy(
        name=name,
        architecture=architecture,
        loader=document["loader"],
        folders=tuple(document["folders"]),
        libraries=libraries | unseen,
        real_names=real_names,
        api=frozenset(unseen),
        page_size=document["page_size"],
        time_bits=None if track is None else 32 if architecture.facts.bits == 32 and track < _TIME64_TRACK else 64,
    )


@cache
def load_runtime(target: Target) -> Runtime:
    """Return the bare runtime of *target*. Raises ConfigError when there is none."""
    try:
        document = json.loads(_data("runtimes", f"{target}.json").read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"it is not known what a bundle for {target} brings") from None
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
    """Return the symbols of each file: `=NAME` begins one, a line each follows; see `elf.Symbols`."""
    text = lzma.decompress(_data(f"{name}.symbols.xz").read_bytes()).decode()
    parts = (part.split("\n") for part in text.split("\n=")[1:])
    return {file: Symbols((), frozenset(), parse_exports(lines)) for file, *lines in parts}


@cache
def load_api() -> dict[str, ApiLibrary]:
    """Return the libraries of the camera's own interfaces by soname."""
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
