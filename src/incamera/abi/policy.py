"""Policies: the libraries that a camera of a profile, or a live device, provides; and the bare runtime of a target.

tools/make_policies.py reads the libraries of virtual cameras and bare runtimes, and writes them to data/policies and
data/runtimes. Virtual cameras have Debian's libraries, so a profile's policy takes from there only what
data/camera_api.toml, which describes AXIS OS, agrees with.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from incamera.abi.camera_api import (
    Answer,
    ApiLibrary,
    Generation,
    Track,
    family_of,
    find_api,
    has_number,
    load_api,
    load_generations,
    number_of,
)
from incamera.abi.loader_rule import LIBC_FAMILY, LibraryFacts, describe_libraries
from incamera.abi.objects import Object, PartlyKnown
from incamera.elf import ElfFacts, Exports, Reference, Symbols, parse_facts, unpack_exports
from incamera.errors import ConfigError, UsageError
from incamera.names import did_you_mean
from incamera.targets.architecture import Architecture

if TYPE_CHECKING:
    from incamera.targets.target import Target

# The first AXIS OS track whose 32-bit systems have a 64-bit time_t.
_TIME64_TRACK = (13, 0)
# The newest stand-in. An older library of glibc or gcc has its symbols up to a certain version.
_NEWEST = "axis-os-11"
_FROM_NEWEST = frozenset({"libstdc++.so.6", "libgcc_s.so.1"})
_GLIB = re.compile(r"lib(?:glib|gobject|gio|gmodule|gthread)-2\.0\.so\.0")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a camera provides.

    `loader`: the path of its loader; None where it has none.
    `folders`: those that its loader searches.
    `libraries`: by soname. `real_names`: the names of their files.
    `api`: the sonames of libraries whose symbols are not known.
    `page_size` is in bytes.
    `track`: the AXIS OS track that a profile describes; None for a live device, which has only what was found in it.
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
    track: Track | None = None

    def find(self, soname: str) -> Object | None:
        """Return the library *soname*; None when the camera doesn't have it."""
        if soname in self.libraries or self.track is None:
            return self.libraries.get(soname)
        library = find_api(soname)  # known without its number?
        if library is None or library.soname in self.libraries or library.presence(self.track) is Answer.no:
            return None
        return None if LIBC_FAMILY.fullmatch(soname) else _unseen_object(library, soname, self.architecture, self.track)

    def find_file(self, name: str) -> Object | None:
        """Return the library whose file is called *name*: its soname, or the name with all numbers."""
        soname = next((soname for soname, real in self.real_names.items() if real == name), name)
        return self.find(soname)

    def doubt(self, soname: str) -> str:
        """Return why it is not certain that the camera has the library *soname*, which `find` finds; "" if it is."""
        if self.track is None:
            return ""
        track = ".".join(map(str, self.track))
        library = find_api(soname)
        if library is None:
            return f"a Debian package of the virtual camera; no source says that AXIS OS {track} has it"
        return f"perhaps AXIS OS {track}: {library.why}" if library.presence(self.track) is Answer.unclear else ""

    def defines(self, found: Object, version: str) -> Answer:
        """Return whether the library *found*, of the camera or not, defines the symbol version *version*."""
        if version in found.facts.defines:
            return Answer.yes
        library = find_api(found.facts.soname or "") if found.camera and self.track is not None else None
        if library is None or self.track is None:
            return Answer.no
        # glibc has few versions without a number, and the stand-in has those that are not known here.
        if library.exact and not has_number(version):
            return Answer.no
        return library.defines(version, self.track)

    def facts(self) -> dict[str, LibraryFacts]:
        """Return the facts of each library that the loader rule compares, by soname."""
        known = {name: item for name, item in self.libraries.items() if self.track is None or _is_versioned(name)}
        return describe_libraries(
            {name: item.facts for name, item in known.items()},
            self.real_names,
            {name: item.path for name, item in known.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What every bundle of *target* has: the interpreter and the libraries in `lib/`.

    *wheel_libraries* are those that are added when a binary wheel needs them, as manylinux expects them everywhere.
    """

    target: Target
    program: Object
    libraries: Mapping[str, Object]
    wheel_libraries: Mapping[str, Object]
    real_names: Mapping[str, str]


@cache
def load_policy(profile: str) -> Policy:
    """Return what a camera of *profile* (`axis-os-11-armv7hf`) provides. Raises UsageError for an unknown profile.

    It describes AXIS OS. A virtual camera of that profile has Debian's libraries, which its own facts tell.
    """
    generation, architecture = require_generation(profile)
    known = _LibraryReader(generation, architecture)
    document = read_document(f"policies/{generation.stand_in}-{architecture}")
    libraries, real_names = known.read()
    return Policy(
        name=profile,
        architecture=architecture,
        loader=document["loader"],
        folders=tuple(document["folders"]),
        libraries=libraries,
        real_names=real_names,
        api=frozenset(name for name, item in libraries.items() if name not in real_names),
        page_size=document["page_size"],
        time_bits=32 if architecture.facts.bits == 32 and generation.track < _TIME64_TRACK else 64,
        track=generation.track,
    )


def audited_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that `load_policy` knows. Not for all of them are there virtual cameras."""
    return tuple(f"{name}-{architecture}" for name in load_generations() for architecture in Architecture)


def require_generation(profile: str) -> tuple[Generation, Architecture]:
    """Return the generation and the architecture of *profile*. Raises UsageError that suggests similar names."""
    names = audited_profiles()
    if profile not in names:
        hint = did_you_mean(profile, names) or "choose one of: " + ", ".join(names)
        raise UsageError(f'unknown profile "{profile}"', hint=hint)
    name, _, architecture = profile.rpartition("-")
    return load_generations()[name], Architecture.parse(architecture)


class _LibraryReader:
    """Puts the libraries of a camera generation together, from its stand-in and from what sources tell."""

    def __init__(self, generation: Generation, architecture: Architecture) -> None:
        self._track = generation.track
        self._architecture = architecture
        self._stand_in = f"policies/{generation.stand_in}-{architecture}"
        self._newest = f"policies/{_NEWEST}-{architecture}"
        self._answers: dict[tuple[str, str], Answer] = {}
        self._glib = [f"policies/{name}-{architecture}" for name in generation.glib]

    def read(self) -> tuple[dict[str, Object], dict[str, str]]:
        """Return the libraries by soname, and the names of their files; those of unknown libraries are not known."""
        rows = {row["name"]: (row, self._stand_in) for row in read_document(self._stand_in)["libraries"]}
        for source, wanted in ((self._newest, _is_versioned), (self._glib[0], _is_glib)):
            rows |= {
                row["name"]: (row, source)
                for row in read_document(source)["libraries"]
                if wanted(row["name"]) and not (source == self._newest and _is_glib(row["name"]))
            }
        libraries = {}
        for name, (row, source) in rows.items():
            library = find_api(name)
            if library is None:
                libraries[name] = _make_object(row, partial(load_exports, source), camera=True)
            elif library.presence(self._track) is not Answer.no:
                libraries[name] = self._known_object(library, row, source)
        real_names = {name: rows[name][0]["real_name"] for name in libraries}
        for name, library in load_api().items():
            if name not in libraries and "*" not in name and library.presence(self._track) is not Answer.no:
                libraries[name] = _unseen_object(library, name, self._architecture, self._track)
        return libraries, real_names

    def _known_object(self, library: ApiLibrary, row: Mapping[str, Any], source: str) -> Object:
        facts = parse_facts(row)
        kept = {version for version in facts.defines if self._answer(library, version) is Answer.yes}
        # Of what it needs, other cameras than Debian's may have nothing. They have what they need.
        needed = tuple(name for name in facts.needed if find_api(name) is not None)
        # The stand-in may be older than the camera's.
        highest = library.highest(self._track) if library.soname == row["name"] else ()
        defines = dict.fromkeys([*(version for version in facts.defines if version in kept), *highest])
        facts = dataclasses.replace(facts, defines=tuple(defines), needed=needed, needs={})
        real_name = row["real_name"]

        def read() -> Symbols | None:
            exports = load_exports(source).get(real_name)
            if exports is not None and len(kept) < len(row["defines"]):
                exports = exports.of_versions({*kept, ""})
            return _symbols_of(exports)

        def may_have(reference: Reference) -> bool:
            """Return whether the symbol has a version that is newer than the stand-in, or of which nothing is known."""
            answer = self._answer(library, reference.version) if reference.version else Answer.no
            if answer is Answer.unclear:
                return True
            newest = next(one for one in read_document(source)["libraries"] if one["name"] == library.soname)
            numbers = [number_of(one) for one in newest["defines"] if family_of(one) == family_of(reference.version)]
            is_later = bool(numbers) and number_of(reference.version) > max(numbers)
            return is_later and answer is not Answer.no

        def has_newer_glib(reference: Reference) -> bool:
            newer = load_exports(self._glib[1])
            file = next((file for file in newer if file.startswith(row["name"])), None)
            return file is not None and reference.name in newer[file]

        path, bits = row["path"], row.get("time_bits")
        if _is_glib(row["name"]):
            if len(self._glib) > 1:
                return PartlyKnown(path, facts, read=read, time_bits=bits, may_export=has_newer_glib)
        elif library.versions:
            return PartlyKnown(path, facts, read=read, time_bits=bits, may_export=may_have)
        elif library.prefixes:
            return PartlyKnown(
                path,
                facts,
                read=read,
                time_bits=bits,
                may_export=lambda reference: library.may_export(reference.name, self._track),
            )
        return Object(path, facts, read=read, camera=True, time_bits=bits)

    def _answer(self, library: ApiLibrary, version: str) -> Answer:
        if not library.versions:
            return Answer.yes
        key = library.soname, version  # all libraries of glibc have the same versions
        if key not in self._answers:
            self._answers[key] = library.defines(version, self._track)
        return self._answers[key]


def _unseen_object(library: ApiLibrary, soname: str, architecture: Architecture, track: Track) -> Object:
    facts = ElfFacts(
        machine=architecture.facts.elf_machine,
        bits=architecture.facts.bits,
        soname=soname,
        needed=library.needs,
        defines=library.highest(track),
    )
    return PartlyKnown(
        f"/usr/lib/{soname}", facts, may_export=lambda reference: library.may_export(reference.name, track)
    )


def _symbols_of(exports: Exports | None) -> Symbols | None:
    return Symbols((), frozenset(), exports) if exports is not None else None


def _is_glib(name: str) -> bool:
    return _GLIB.fullmatch(name) is not None


def _is_versioned(name: str) -> bool:
    """Return whether the age of the library *name* is known for each track."""
    return name in _FROM_NEWEST or _is_glib(name) or LIBC_FAMILY.fullmatch(name) is not None


def make_policy(
    document: Mapping[str, Any],
    *,
    name: str,
    architecture: Architecture,
    exports: Callable[[], Mapping[str, Exports]],
) -> Policy:
    """Return the policy of the live device that *document* describes, in the format that tools/make_policies.py writes.

    *exports* loads what its libraries export, by real file name.
    """
    libraries, real_names = _parse_libraries(document["libraries"], exports, camera=True)
    return Policy(
        name=name,
        architecture=architecture,
        loader=document["loader"],
        folders=tuple(document["folders"]),
        libraries=libraries,
        real_names=real_names,
        api=frozenset(),
        page_size=document["page_size"],
        time_bits=None,
    )


@cache
def load_runtime(target: Target) -> Runtime:
    """Return the bare runtime of *target*. Raises ConfigError when there is no data for it."""
    try:
        document = json.loads(_data("runtimes", f"{target}.json").read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"incamera has no audit data for {target}: which libraries its bundles bring") from None
    exports = partial(load_exports, f"runtimes/{target}")
    libraries, real_names = _parse_libraries(document["libraries"], exports, camera=False)
    more, more_names = _parse_libraries(document["wheel_libraries"], exports, camera=False)
    return Runtime(
        target=target,
        program=_make_object(document["program"], exports, camera=False),
        libraries=libraries,
        wheel_libraries=more,
        real_names=real_names | more_names,
    )


def _parse_libraries(
    rows: Sequence[Mapping[str, Any]], exports: Callable[[], Mapping[str, Exports]], *, camera: bool
) -> tuple[dict[str, Object], dict[str, str]]:
    libraries = {row["name"]: _make_object(row, exports, camera=camera) for row in rows}
    return libraries, {row["name"]: row["real_name"] for row in rows}


def _make_object(row: Mapping[str, Any], exports: Callable[[], Mapping[str, Exports]], *, camera: bool) -> Object:
    file = row["real_name"]
    return Object(
        row["path"],
        parse_facts(row),
        read=lambda: _symbols_of(exports().get(file)),
        camera=camera,
        base=not camera,
        time_bits=row.get("time_bits"),
    )


@cache
def read_document(name: str) -> Mapping[str, Any]:
    """Return the file *name* (`policies/axis-os-11-armv7hf`) of the data, as tools/make_policies.py wrote it."""
    document: dict[str, Any] = json.loads(_data(f"{name}.json").read_bytes())
    return document


class _Libraries(Mapping[str, Exports]):
    """What libraries export, by file name. Each library's exports are read when they are first used."""

    def __init__(self, parts: Mapping[str, bytes]) -> None:
        self._parts = parts
        self._parsed: dict[str, Exports] = {}

    def __getitem__(self, file: str) -> Exports:
        if file not in self._parsed:
            self._parsed[file] = unpack_exports(lzma.decompress(self._parts[file]).decode())
        return self._parsed[file]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


@cache
def load_exports(name: str) -> Mapping[str, Exports]:
    """Return the exports by file name. tools/make_policies.py describes the format of the data."""
    sizes, _, data = _data(f"{name}.symbols").read_bytes().partition(b"\n")
    parts = {}
    start = 0
    for file, size in json.loads(sizes).items():
        parts[file] = data[start : start + size]
        start += size
    return _Libraries(parts)


def _data(*names: str) -> Traversable:
    return resources.files("incamera.abi").joinpath("data", *names)
