"""Profiles: what is known of a camera generation, and what its virtual camera consists of."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from incamera.errors import ConfigError, UsageError
from incamera.names import did_you_mean
from incamera.targets.architecture import Architecture
from incamera.targets.suite import require_suite

# The newest AXIS OS track on which root can log in over SSH.
_DEFAULT_GENERATION = "axis-os-11"


class PlaceKind(StrEnum):
    """What a place is stored on."""

    ram = "ram"
    flash = "flash"
    sdcard = "sdcard"
    share = "share"

    @property
    def has_disk(self) -> bool:
        """Whether a virtual camera needs a disk for it."""
        return self in (PlaceKind.flash, PlaceKind.sdcard)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder of a camera that can hold a bundle.

    *options* are its mount options. A share has no *filesystem* until one is mounted.
    """

    path: str
    kind: PlaceKind
    filesystem: str = ""
    megabytes: int = 0
    options: str = ""

    @property
    def executable(self) -> bool:
        """Whether programs can be run from there."""
        return "noexec" not in self.options.split(",")


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A camera generation on one architecture; *name* is both, `axis-os-10-armv7hf`.

    *track* and *version* are of AXIS OS. Its user land is *packages* of Debian's *suite*, its *kernel* is a package of
    *kernel_suite*. *machine* and *cpu* are QEMU's names. *user* logs in over SSH, and has the folder *home*; it is ""
    where nobody can at first. *sources* says where each fact is from.
    """

    name: str
    architecture: Architecture
    track: str
    version: str
    suite: str
    packages: tuple[str, ...]
    kernel_suite: str
    kernel: str
    machine: str
    cpu: str
    processors: int
    memory_megabytes: int
    user: str
    home: str
    places: tuple[Place, ...]
    sources: tuple[tuple[str, str], ...]

    @property
    def has_root_login(self) -> bool:
        """Whether root logs in over SSH. If not, only an installed app runs there, and the web server installs it."""
        return self.user != ""

    @property
    def glibc(self) -> str:
        """The version of the C library: `2.31`."""
        return require_suite(self.suite).glibc


def parse_profiles(tables: Mapping[str, Any]) -> dict[str, Profile]:
    """Return the profiles that *tables* (of `data/profiles.toml`) describe, by name. Raises ConfigError."""
    profiles = {}
    try:
        for generation_name, generation in tables["generations"].items():
            user_land = tables["places"][generation["places"]]
            for architecture in map(Architecture.parse, generation["architectures"]):
                name = f"{generation_name}-{architecture}"
                profiles[name] = _combine(name, architecture, generation, user_land, tables["machines"][architecture])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"profiles.toml is wrong: {type(error).__name__}: {error}") from error
    return profiles


def _combine(
    name: str,
    architecture: Architecture,
    generation: Mapping[str, Any],
    user_land: Mapping[str, Any],
    machine: Mapping[str, Any],
) -> Profile:
    for suite in (generation["suite"], machine["kernel_suite"]):
        require_suite(suite)
    places = tuple(Place(**place | {"kind": PlaceKind(place["kind"])}) for place in user_land["places"])
    for place in places:
        if not place.path.startswith("/") or (place.kind is not PlaceKind.share and not place.filesystem):
            raise ConfigError(f"profiles.toml: {name}: the place {place.path} needs an absolute path and a file system")
    sources = {**user_land["sources"], **machine["sources"], **generation["sources"]}
    return Profile(
        name=name,
        architecture=architecture,
        track=generation["track"],
        version=generation["version"],
        suite=generation["suite"],
        packages=tuple(generation["packages"]),
        kernel_suite=machine["kernel_suite"],
        kernel=machine["kernel"],
        machine=machine["machine"],
        cpu=machine["cpu"],
        processors=int(machine["processors"]),
        memory_megabytes=int(machine["memory_megabytes"]),
        user=generation.get("user", user_land["user"]),
        home=user_land["home"],
        places=places,
        sources=tuple(sorted(sources.items())),
    )


@cache
def load_profiles() -> Mapping[str, Profile]:
    """Return all profiles by name."""
    text = (Path(__file__).parent / "data" / "profiles.toml").read_text("utf-8")
    return parse_profiles(tomllib.loads(text))


def require_profile(name: str) -> Profile:
    """Return the profile called *name*. Raises UsageError that suggests similar names."""
    profiles = load_profiles()
    if name not in profiles:
        hint = did_you_mean(name, profiles) or "choose one of: " + ", ".join(profiles)
        raise UsageError(f'unknown profile "{name}"', hint=hint)
    return profiles[name]


def default_profile(architecture: Architecture = Architecture.armv7hf) -> Profile:
    """Return the profile of the virtual camera that is used when no device is named."""
    return require_profile(f"{_DEFAULT_GENERATION}-{architecture}")
