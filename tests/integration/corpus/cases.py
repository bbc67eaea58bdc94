"""The corpus as values: what its TOML files say."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from incamera.targets.architecture import Architecture

FOLDER = Path(__file__).parent
# What decides over the bytes that are built; their digest names them in the store.
SOURCES = (
    "cases.toml",
    "reported.toml",
    "stubs.toml",
    "bundle.toml",
    "camera.toml",
    "build.py",
    "damage.py",
    "cases.py",
)

GENERATIONS = ("axis-os-10", "axis-os-11")


class How(StrEnum):
    """How a case is loaded."""

    library = "library"
    extension = "extension"
    program = "program"
    wheel = "wheel"
    eap = "eap"


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One file of a case, and how it is made."""

    path: str
    code: str | None = None
    more: str = ""
    """Code besides the usual."""
    cc: str = ""
    libc: bool = False
    cxx: bool = False
    program: bool = False
    object: bool = False
    link: tuple[str, ...] = ()
    """Stand-ins of `stubs.toml`."""
    link_with: str = ""
    beside: tuple[str, ...] = ()
    """Files of the same case that it is linked with."""
    versions: str = ""
    run_path: str = ""
    old_tags: bool = False
    damage: str | None = None
    copy: str | None = None
    text: str | None = None
    symlink: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    name: str
    why: str
    files: tuple[Piece, ...]
    how: How = How.library
    load: str = ""
    architectures: tuple[str, ...] = ("armv7hf", "aarch64")
    refused: Mapping[str, str] = field(default_factory=dict)
    finding: str | None = None
    rule: str | None = None
    limit: str | None = None
    told_of: str | None = None
    """A file of the camera's, if the finding names that one."""
    tag: str = ""
    archive_damage: str | None = None

    def words_of_refusal(self, profile: str) -> str | None:
        """Return what is expected instead of success on *profile*, as a pattern; None where the case works."""
        return next((words for pattern, words in self.refused.items() if fnmatch.fnmatch(profile, pattern)), None)

    @property
    def needs_the_bundle(self) -> bool:
        """Does it show nothing without the libraries of `bundle.toml`?"""
        brought = load_libraries("bundle")
        return any(name in brought for piece in self.files for name in piece.link)

    @property
    def needs_stand_ins(self) -> bool:
        """Does it meet one of the libraries that a virtual camera has for the corpus alone?"""
        ours = load_libraries("camera") | load_libraries("bundle")
        names = {Path(piece.path).name for piece in self.files}
        return any(name in ours for piece in self.files for name in (*piece.link, *names))

    def suits(self, architecture: str) -> bool:
        return architecture in self.architectures


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """A library known by its soname and the symbols of each version; each function gives 42."""

    soname: str
    symbols: Mapping[str, Mapping[str, list[str]]]
    """By architecture or generation, or for `both`: version → names."""
    code: str = ""
    cc: Mapping[str, str] = field(default_factory=dict)
    link: tuple[str, ...] = ()
    libc: bool = False

    def symbols_for(self, *which: str) -> Mapping[str, list[str]]:
        return next(table for key, table in self.symbols.items() if key in (*which, "both"))


def load_cases(architecture: Architecture | None = None) -> dict[str, Case]:
    """Return the cases, those for *architecture* alone if it is given, with its names filled in."""
    cases = {}
    for name, table in (*_load("cases.toml").items(), *_load("reported.toml").items()):
        words = _substitutions(architecture) if architecture is not None else {}
        files = tuple(Piece(**_tuples(_fill(piece, words))) for piece in table.pop("files"))
        case = Case(name=name, files=files, **_tuples(_fill(table, words)))
        if architecture is None or case.suits(architecture):
            cases[name] = case
    return cases


def load_stubs(architecture: Architecture) -> dict[str, StandIn]:
    return {
        name: _stand_in(name, _fill(table, _substitutions(architecture)), ("both", *Architecture))
        for name, table in _load("stubs.toml").items()
    }


def load_libraries(side: str) -> dict[str, StandIn]:
    """Return the libraries of one *side*: what the `camera` has, or what goes into the `bundle`'s lib/."""
    keys = ("both", *GENERATIONS)
    return {name: _stand_in(name, table, keys) for name, table in _load(f"{side}.toml").items()}


def generation_of(profile: str) -> str:
    return profile.rpartition("-")[0]


def _stand_in(name: str, table: dict[str, Any], keys: tuple[str, ...]) -> StandIn:
    symbols = {key: table.pop(key) for key in keys if key in table}
    return StandIn(soname=table.pop("soname", name), symbols=symbols, **_tuples(table))


def _load(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text("utf-8"))


def _substitutions(architecture: Architecture) -> dict[str, str]:
    other = next(one for one in Architecture if one is not architecture)
    facts = architecture.facts
    return {"{gnu}": facts.gnu, "{wheel}": facts.wheel, "{other_gnu}": other.facts.gnu, "{loader}": facts.loader}


def _fill(table: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    def fill(value: Any) -> Any:
        if isinstance(value, str):
            for word, meaning in words.items():
                value = value.replace(word, meaning)
        return {key: fill(inner) for key, inner in value.items()} if isinstance(value, dict) else value

    return {key: fill(value) for key, value in table.items()}


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value) if isinstance(value, list) else How(value) if key == "how" else value
        for key, value in table.items()
    }
