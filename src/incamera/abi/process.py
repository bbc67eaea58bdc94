"""Who gets whom: the search and the look-up of glibc's loader, done on paper.

A process begins with a program and what that needs; then files are loaded one by one, each with what it needs in turn.
As glibc has it: an object that is loaded already answers to its names; else RPATHs are searched, up the chain of those
who asked, then the library path, then the RUNPATH of who asks, then the folders of the system.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from incamera.abi.loader_rule import LIBC_FAMILY

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.subject import Subject
    from incamera.elf import ElfFacts, Reference


class Place(NamedTuple):
    """Where libraries are looked for: by name, in a folder of the subject where it is one."""

    find: Callable[[str], Object | None]
    folder: str | None = None


class Asker(NamedTuple):
    """Who asks for a library, and the folder that it was found in: the $ORIGIN of its run path."""

    item: Object
    origin: str


@dataclass(slots=True)
class Load:
    """What one file brings with it. `objects` are in the order in which the loader looks symbols up."""

    root: Object
    objects: list[Object] = field(default_factory=list)
    found: dict[tuple[Object, str], Object | None] = field(default_factory=dict)
    """For each object and name that it needs: who it gets."""
    passed_over: dict[tuple[Object, str], Object] = field(default_factory=dict)
    """What was found under that name, but is for another machine."""

    @property
    def complete(self) -> bool:
        return all(item is not None and not item.damage for item in self.found.values())


class Process:
    """*program* is what is started, None where it is unknown; *places* the library path.

    Without a library path, it is the camera that starts it (`by_camera`), with its own loader.
    """

    def __init__(
        self, subject: Subject, policy: Policy, *, program: Object | None, places: Sequence[Place], name: str
    ) -> None:
        self.subject = subject
        self.policy = policy
        self.program = program
        self.name = name
        self.by_camera = not places
        self._camera = Place(policy.libraries.get)
        # The launcher names the camera's folders, too.
        self._library_path = (*places, self._camera) if places else ()
        self._names: dict[str, Object] = {}
        self.started = Load(program) if program is not None else None
        if self.started is not None:
            self._load(self.started, self._names)
        self._exports: frozenset[str] | None = None
        self._open: dict[Object, list[Reference]] = {}
        self._libc = self._names.get("libc.so.6")
        if self._libc is None and (found := self.search("libc.so.6", ())[0]):
            self._libc = found.item

    @cached_property
    def glibc(self) -> tuple[int, ...]:
        """The version of its C library; (0,) where there is none."""
        if self._libc is None:
            return (0,)
        # Not every release has new symbols in each of its libraries.
        around = self.policy.libraries.values() if self._libc.camera else self.started.objects if self.started else ()
        kin = [item for item in around if LIBC_FAMILY.fullmatch(item.name) and item.camera == self._libc.camera]
        names = {name for item in (self._libc, *kin) for name in item.facts.defines}
        return max((parse_version(name) for name in names if name.startswith("GLIBC_2")), default=(0,))

    def load(self, root: Object) -> Load:
        """Return what happens when *root* is loaded into the process as it was after its start."""
        load = Load(root)
        self._load(load, dict(self._names))
        return load

    def _load(self, load: Load, names: dict[str, Object]) -> None:
        loaded = set(names.values())
        waiting: list[tuple[Asker, ...]] = [(Asker(load.root, load.root.folder),)]
        _add_names(names, load.root)
        loaded.add(load.root)
        while waiting:
            chain = waiting.pop(0)
            item = chain[-1].item
            load.objects.append(item)
            for name in item.facts.needed:
                if name in names:
                    load.found[item, name] = names[name]
                    continue
                found, passed_over = self.search(name, chain)
                if passed_over is not None:
                    load.passed_over[item, name] = passed_over
                load.found[item, name] = found.item if found is not None else None
                if found is None:
                    continue
                names[name] = found.item
                if found.item not in loaded:
                    loaded.add(found.item)
                    _add_names(names, found.item)
                    waiting.append((*chain, found))

    def search(self, name: str, chain: Sequence[Asker]) -> tuple[Asker | None, Object | None]:
        """Return who answers to *name* for the last of *chain*, and who was passed over: it is for another machine."""
        passed_over = None
        for place in self._places_for(name, chain):
            item = place.find(name)
            if item is None:
                continue
            # Damage ends the search, the wrong machine doesn't.
            if item.damage or self._is_for_us(item.facts):
                return Asker(item, item.folder if place.folder is None else place.folder), passed_over
            passed_over = passed_over or item
        return None, passed_over

    def _is_for_us(self, facts: ElfFacts) -> bool:
        architecture = self.policy.architecture.facts
        return facts.machine == architecture.elf_machine and facts.bits == architecture.bits

    def _places_for(self, name: str, chain: Sequence[Asker]) -> Iterator[Place]:
        if "/" in name:
            yield from self._folders(chain[-1:], [posixpath.dirname(name)])
            return
        asker = chain[-1] if chain else None
        if asker is None or not asker.item.facts.runpath:
            up = [*reversed(chain), *([Asker(self.program, self.program.folder)] if self.program is not None else [])]
            for one in up:
                yield from self._folders([one], one.item.facts.rpath)
        yield from self._library_path
        if asker is not None:
            yield from self._folders([asker], asker.item.facts.runpath)
        yield self._camera

    def _folders(self, askers: Sequence[Asker], entries: Sequence[str]) -> Iterator[Place]:
        """Yield the places that the entries of a run path mean, without those that lead nowhere we know."""
        for asker in askers:
            for entry in entries:
                origin = None if asker.item.camera else asker.origin
                inside = resolve_run_path(entry, origin, self.subject, self.policy)
                if inside is not None and inside.startswith("/"):
                    yield Place(partial(self._find_in_camera, inside))
                elif inside is not None:
                    yield Place(partial(self._find_in_subject, inside), inside)

    def _find_in_camera(self, folder: str, name: str) -> Object | None:
        item = self._camera.find(name.rpartition("/")[2])
        return item if item is not None and item.folder == folder else None

    def _find_in_subject(self, folder: str, name: str) -> Object | None:
        return self.subject.find(folder, name.rpartition("/")[2])

    # Symbols

    @property
    def exports(self) -> frozenset[str]:
        """What the program and its libraries offer to all that is loaded later."""
        if self._exports is None:
            objects = self.started.objects if self.started is not None else []
            self._exports = frozenset().union(*(item.symbols.exports for item in objects if item.symbols is not None))
        return self._exports

    def find_missing(self, load: Load) -> dict[Object, list[Reference]]:
        """Return the symbols of our own files that *load* asks for and nobody there exports.

        Nothing is missing where a library takes part that nobody could look into: it may be there.
        """
        if any(item.symbols is None for item in load.objects):
            return {}
        exports = [item.symbols.exports for item in load.objects if item.symbols is not None]
        missing = {}
        for item in load.objects:
            wanted = [
                reference
                for reference in self._not_from_the_start(item)
                if not any(offered(reference, others) for others in exports)
            ]
            if wanted:
                missing[item] = wanted
        return missing

    def _not_from_the_start(self, item: Object) -> list[Reference]:
        """Return what *item* asks for that was not there from the start."""
        if item not in self._open:
            imports = item.symbols.imports if item.ours and item.symbols is not None else ()
            self._open[item] = [reference for reference in imports if not offered(reference, self.exports)]
        return self._open[item]


def offered(reference: Reference, exports: frozenset[str]) -> bool:
    if not reference.version:
        return reference.name in exports
    return f"{reference.name}@{reference.version}" in exports or f"{reference.name}@" in exports


def resolve_run_path(entry: str, origin: str | None, subject: Subject, policy: Policy) -> str | None:
    """Return the folder that an entry of a run path means: one of the subject, relative, or of the camera, absolute.

    *origin* is the folder of the file whose run path it is, None where nothing of ours can be meant.
    """
    for token in ("$ORIGIN", "${ORIGIN}"):
        if entry.startswith(token):
            if origin is None:
                return None
            path = posixpath.normpath(posixpath.join(origin or ".", "." + entry.removeprefix(token)))
            return None if path.startswith("..") or "$" in path else path.removeprefix(".")
    if not entry.startswith("/"):
        return None
    entry = posixpath.normpath(entry)
    if subject.installed and (entry == subject.installed or entry.startswith(subject.installed + "/")):
        return entry.removeprefix(subject.installed).lstrip("/")
    return entry if entry in policy.folders else None


def parse_version(name: str) -> tuple[int, ...]:
    """Return (2, 36) for `GLIBC_2.36`."""
    return tuple(int(number) for number in name.rpartition("_")[2].split(".") if number.isdigit())


def _add_names(names: dict[str, Object], item: Object) -> None:
    if item.facts.soname:
        names.setdefault(item.facts.soname, item)
