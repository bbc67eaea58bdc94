"""What is known of the libraries of AXIS OS: which track has them, in which versions, and how one knows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from incamera.abi.loader_rule import LIBC_FAMILY, parse_version

if TYPE_CHECKING:
    from incamera.sdk.tables import Function

Track = tuple[int, ...]

_ANY_NUMBER = ".*"
_GLIBC = "libc.so.6"
# Versions without a number of their own, by the glibc that has them first.
_NUMBERED = re.compile(r"[A-Z_]+[0-9]+(?:\.[0-9]+)*+")
_UNNUMBERED = {
    "GLIBC_ABI_DT_RELR": (2, 36),
    "GLIBC_ABI_GNU_TLS": (2, 42),
    "GLIBC_ABI_GNU2_TLS": (2, 42),
    "GLIBC_ABI_DT_X86_64_PLT": (2, 42),
}


class Evidence(StrEnum):
    """How one knows that cameras have a library."""

    documented = "documented"
    seen = "seen"
    stand_in = "stand-in"
    """Only a virtual camera has it."""


class Answer(StrEnum):
    yes = "yes"
    no = "no"
    unclear = "unclear"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiLibrary:
    """A library of camera_api.toml, which describes the fields."""

    soname: str
    evidence: Evidence
    has: tuple[tuple[Track, Answer], ...]
    source: str
    why: str = ""
    firmware: bool = False
    versions: tuple[tuple[Track, tuple[str, ...]], ...] = ()
    exact: bool = False
    prefixes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    table: str = ""

    def presence(self, track: Track) -> Answer:
        """Return whether cameras of *track* have it."""
        answers = [answer for since, answer in self.has if since <= track]
        return answers[-1] if answers else Answer.no

    def since(self) -> str:
        """Return the first track that has it: "11.11"; "" when no source tells."""
        return next((".".join(map(str, track)) for track, answer in self.has if answer is Answer.yes), "")

    def highest(self, track: Track) -> tuple[str, ...]:
        """Return the highest version of each family (`GLIBC`) that cameras of *track* have."""
        found: dict[str, str] = {}
        for since, versions in self.versions:
            if since <= track:
                found |= {family_of(version): version for version in versions}
        return tuple(found.values())

    def defines(self, version: str, track: Track) -> Answer:
        """Return whether it has the symbol version *version* in *track*."""
        family, number = family_of(version), number_of(version)
        known = [
            (since, number_of(name)) for since, names in self.versions for name in names if family_of(name) == family
        ]
        if not known:
            return Answer.no if self.exact else Answer.unclear
        if any(number <= highest for since, highest in known if since <= track):
            return Answer.yes
        later = [highest for since, highest in known if since > track]
        return Answer.unclear if later and number < later[0] and not self.exact else Answer.no

    def may_export(self, name: str, track: Track) -> bool:
        """Return whether it may have a function *name* in *track*. Which functions it has is not known for certain."""
        if self.prefixes and not name.startswith(self.prefixes):
            return False
        function = self._find_function(name)
        if function is None:
            return True
        # No source tells whether what lies between has the function.
        return track > parse_track(function.after) if function.after else track >= parse_track(function.since)

    def function_since(self, name: str) -> str:
        """Return the first AXIS OS that has its function *name*: "12.8"; "" when no source tells."""
        function = self._find_function(name)
        return function.since if function is not None else ""

    def _find_function(self, name: str) -> Function | None:
        if not self.table:
            return None
        from incamera.sdk.tables import load_library  # lazy: most files that are audited use no such library

        return next((one for one in load_library(self.table).functions if one.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """A camera generation that the audit knows; camera_api.toml describes the fields."""

    name: str
    track: Track
    stand_in: str
    glib: tuple[str, ...]


@cache
def _tables() -> Mapping[str, Any]:
    text = resources.files("incamera.abi").joinpath("data", "camera_api.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def load_api() -> dict[str, ApiLibrary]:
    """Return the libraries of camera_api.toml by soname."""
    return {soname: _parse_library(soname, table) for soname, table in _tables()["libraries"].items()}


@cache
def load_stand_ins() -> frozenset[str]:
    """Return the libraries that only virtual cameras are known to have."""
    return frozenset(_tables()["stand_in"].split())


@cache
def load_generations() -> dict[str, Generation]:
    """Return the camera generations by name."""
    return {
        name: Generation(
            name=name, track=parse_track(table["track"]), stand_in=table["stand_in"], glib=tuple(table["glib"])
        )
        for name, table in _tables()["generations"].items()
    }


def find_api(soname: str) -> ApiLibrary | None:
    """Return what is known of the library *soname*. All libraries of glibc have the facts of libc."""
    api = load_api()
    if found := api.get(soname):
        return found
    if LIBC_FAMILY.fullmatch(soname):
        return api[_GLIBC]
    base, number, _ = soname.partition(".so.")
    return api.get(f"{base}.so{_ANY_NUMBER}") if number else None


@cache
def firmware_names() -> re.Pattern[str]:
    """Return a pattern of the file names of libraries that must come from the firmware, whatever their number."""
    bases = {soname.partition(".so")[0] for soname, library in load_api().items() if library.firmware}
    return re.compile(rf"(?:{'|'.join(sorted(map(re.escape, bases)))})\.so.*")


def family_of(version: str) -> str:
    """Return `GLIBC` for `GLIBC_2.36`."""
    return "GLIBC" if version in _UNNUMBERED else version.rpartition("_")[0]


def number_of(version: str) -> tuple[int, ...]:
    """Return (2, 36) for `GLIBC_2.36`."""
    return _UNNUMBERED.get(version) or parse_version(version)


def has_number(version: str) -> bool:
    """Return whether it is known which number *version* has, as that of `GLIBC_2.36`."""
    return version in _UNNUMBERED or _NUMBERED.fullmatch(version) is not None


def parse_track(text: str) -> Track:
    """Return (10, 12) for "10.12"."""
    return tuple(int(number) for number in text.split("."))


def _parse_library(soname: str, table: Mapping[str, Any]) -> ApiLibrary:
    return ApiLibrary(
        soname=soname,
        evidence=Evidence(table["evidence"]),
        has=tuple((parse_track(track), Answer(answer)) for track, answer in table["has"].items()),
        source=table["source"],
        why=table.get("why", ""),
        firmware=table.get("firmware", False),
        versions=_parse_versions(table.get("versions", {})),
        exact=table.get("exact", False),
        prefixes=tuple(table.get("prefixes", ())),
        needs=tuple(table.get("needs", ())),
        table=table.get("table", ""),
    )


def _parse_versions(table: Mapping[str, Sequence[str]]) -> tuple[tuple[Track, tuple[str, ...]], ...]:
    return tuple((parse_track(track), tuple(versions)) for track, versions in table.items())
