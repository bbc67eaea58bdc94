"""A simulation of glibc's loader: which file it finds for each library name, and which symbols stay undefined.

A process starts with a program and the libraries that it needs. Then further files are loaded one by one, each with the
libraries that it needs. As in glibc, a library that is loaded already is found by its name or soname. Otherwise these
are searched in turn: the RPATHs of the requester and of the files that loaded it, the library path, the requester's
RUNPATH, and the folders of the system.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from incamera.abi.launch_scripts import NO_SCRIPTS, LaunchScripts
from incamera.abi.loader_rule import LIBC_FAMILY, parse_version
from incamera.abi.run_path import resolve_run_path

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.subject import Subject
    from incamera.elf import ElfFacts, Reference


class SearchFolder(NamedTuple):
    """A folder in which libraries are searched: `find` returns a library by name.

    `folder`: the folder's path; None where files are taken from several folders.
    """

    find: Callable[[str], Object | None]
    folder: str | None = None


class Requester(NamedTuple):
    """A file that needs a library, and the folder in which it was found itself: the $ORIGIN of its run path."""

    item: Object
    origin: str


class Undefined(NamedTuple):
    """Imported symbols that no file in a process is known to export.

    `missing`: by file, those that none can have. `unseen`: by library, those that it may have, since not all of its
    symbols are known.
    """

    missing: dict[Object, list[Reference]]
    unseen: dict[Object, set[str]]


@dataclass(slots=True)
class Load:
    """A file and all that is loaded with it. `objects` are in the order in which the loader looks symbols up."""

    root: Object
    objects: list[Object] = field(default_factory=list)
    found: dict[tuple[Object, str], Object | None] = field(default_factory=dict)
    """For each object and library name that it needs, the library that is found; None where there is none."""
    skipped: dict[tuple[Object, str], Object] = field(default_factory=dict)
    """For each object and library name, a file of that name that the loader skips: it is for another machine."""

    @property
    def complete(self) -> bool:
        """Whether every library was found, and could be read."""
        return all(item is not None and not item.damage for item in self.found.values())


class Process:
    """A process with *program* started in it; None where the program is unknown.

    *library_path* is what the launcher gives the loader with `--library-path`. Without it, the camera starts the
    program with its own loader (`by_camera`). *name* says in messages where libraries are searched: "in the bundle".
    *library_names* are the names of the libraries in the folders of *library_path*. *scripts* are those that may start
    the program, with folders of the subject in LD_LIBRARY_PATH, or with a loader of its own.
    """

    def __init__(
        self,
        subject: Subject,
        policy: Policy,
        *,
        program: Object | None,
        library_path: Sequence[SearchFolder],
        name: str,
        library_names: Iterable[str] = (),
        scripts: LaunchScripts = NO_SCRIPTS,
    ) -> None:
        self.subject = subject
        self.policy = policy
        self.program = program
        self.name = name
        self.by_camera = not library_path
        self._camera = SearchFolder(policy.find)
        # The launcher puts the camera's folders at the end of the library path.
        self._library_path = (*library_path, self._camera) if library_path else ()
        self._library_names = {*library_names, *policy.libraries}
        self._environment = [self._subject_folder(folder) for folder in scripts.folders]
        self._started_by_own_loader = scripts.own_loader
        self._run_paths: dict[tuple[str, str | None], tuple[str, ...]] = {}
        self._names: dict[str, Object] = {}
        self.started = Load(program) if program is not None else None
        if self.started is not None:
            self._load(self.started, self._names)
        self._exported: set[Reference] = set()
        self._not_exported: set[Reference] = set()
        self._unresolved: dict[Object, list[Reference]] = {}
        self._libc = self._names.get("libc.so.6")
        if self._libc is None and (found := self.search("libc.so.6", ())[0]):
            self._libc = found.item

    @cached_property
    def glibc(self) -> tuple[int, ...]:
        """The version of its glibc, (2, 36); (0,) where there is none."""
        if self._libc is None:
            return (0,)
        # A release may have new symbols in some of glibc's libraries only, so all of them count.
        loaded = self.policy.libraries.values() if self._libc.camera else self.started.objects if self.started else ()
        family = [item for item in loaded if LIBC_FAMILY.fullmatch(item.name) and item.camera == self._libc.camera]
        names = {name for item in (self._libc, *family) for name in item.facts.defines}
        return max((parse_version(name) for name in names if name.startswith("GLIBC_2")), default=(0,))

    @cached_property
    def own_loader(self) -> Object | None:
        """The loader of the subject itself, which the program names instead of the camera's."""
        wanted = self.program.facts.interpreter if self.program is not None and self.program.ours else None
        path = self.subject.locate(wanted) if wanted is not None else "/"
        return None if path.startswith("/") else self.subject.find("", path)

    @property
    def loader_is_known(self) -> bool:
        """Whether it is known which loader starts the program."""
        return not self._started_by_own_loader

    def load(self, root: Object) -> Load:
        """Return what is loaded with *root* when it is loaded into the process as it was after its start."""
        load = Load(root)
        self._load(load, dict(self._names))
        return load

    def _load(self, load: Load, names: dict[str, Object]) -> None:
        loaded = set(names.values())
        queue: list[tuple[Requester, ...]] = [(Requester(load.root, load.root.folder),)]
        _add_soname(names, load.root)
        loaded.add(load.root)
        while queue:
            chain = queue.pop(0)
            item = chain[-1].item
            load.objects.append(item)
            for name in item.facts.needed:
                if name in names:
                    load.found[item, name] = names[name]
                    continue
                found, skipped = self.search(name, chain)
                if skipped is not None:
                    load.skipped[item, name] = skipped
                load.found[item, name] = found.item if found is not None else None
                if found is None:
                    continue
                names[name] = found.item
                if found.item not in loaded:
                    loaded.add(found.item)
                    _add_soname(names, found.item)
                    queue.append((*chain, found))

    def search(self, name: str, chain: Sequence[Requester]) -> tuple[Requester | None, Object | None]:
        """Return the library that is found as *name*, and a file for another machine that was skipped.

        *chain* is the file that needs the library (last), and before it those that loaded that file.
        """
        skipped = None
        for place in self._search_folders(name, chain):
            item = place.find(name)
            if item is None:
                continue
            # A damaged file ends glibc's search, one for another machine doesn't.
            if item.damage or self._fits_machine(item.facts):
                return Requester(item, item.folder if place.folder is None else place.folder), skipped
            skipped = skipped or item
        return None, skipped

    def has_library(self, stem: str) -> bool:
        """Return whether ctypes.util.find_library(*stem*) finds a library: "z" is libz.so.1, or of another number."""
        pattern = re.compile(rf"lib{re.escape(stem)}\.(?:\S+\.)?so(?:\.\w+)*")
        return any(pattern.fullmatch(name) and self.search(name, ())[0] for name in self._library_names)

    def _fits_machine(self, facts: ElfFacts) -> bool:
        architecture = self.policy.architecture.facts
        return facts.machine == architecture.elf_machine and facts.bits == architecture.bits

    def _search_folders(self, name: str, chain: Sequence[Requester]) -> Iterator[SearchFolder]:
        """Yield the folders in which the loader searches *name*, in its order."""
        if "/" in name:
            yield from self._run_path_folders(chain[-1:], [posixpath.dirname(name)])
            return
        requester = chain[-1] if chain else None
        if requester is None or not requester.item.facts.runpath:
            program = [Requester(self.program, self.program.folder)] if self.program is not None else []
            for one in (*reversed(chain), *program):
                yield from self._run_path_folders([one], one.item.facts.rpath)
        yield from self._library_path
        yield from self._environment
        if requester is not None:
            yield from self._run_path_folders([requester], requester.item.facts.runpath)
        if requester is None or not requester.item.facts.no_default_folders:
            yield self._camera

    def _run_path_folders(self, requesters: Sequence[Requester], entries: Sequence[str]) -> Iterator[SearchFolder]:
        """Yield the folders that the *entries* of a run path name, without those outside the subject and the camera."""
        for requester in requesters:
            for entry in entries:
                origin = None if requester.item.camera else requester.origin
                if (entry, origin) not in self._run_paths:
                    self._run_paths[entry, origin] = resolve_run_path(entry, origin, self.subject, self.policy)
                for folder in self._run_paths[entry, origin]:
                    if folder.startswith("/"):
                        yield SearchFolder(partial(self._find_in_camera, folder))
                    else:
                        yield self._subject_folder(folder)

    def _subject_folder(self, folder: str) -> SearchFolder:
        return SearchFolder(partial(self._find_in_subject, folder), folder)

    def _find_in_camera(self, folder: str, name: str) -> Object | None:
        item = self._camera.find(name.rpartition("/")[2])
        return item if item is not None and item.folder == folder else None

    def _find_in_subject(self, folder: str, name: str) -> Object | None:
        path = self.subject.resolve(f"{folder}/{name.rpartition('/')[2]}")
        if path is None or not path.startswith("/"):
            return self.subject.objects.get(path or "")
        place, _, file = path.rpartition("/")  # a link to a file of the camera
        return self.policy.find_file(file) if place in self.policy.folders else None

    # Symbols

    def undefined_symbols(self, load: Load) -> Undefined:
        """Return the symbols that files of the subject in *load* import, and that no file is known to export."""
        undefined = Undefined({}, {})
        exports = [one.symbols.exports for one in load.objects if one.symbols is not None]
        for item in load.objects:
            for reference in self._undefined_at_start(item):
                if any(is_exported(reference, known) for known in exports):
                    continue
                perhaps = self._find_unclear(load, reference)
                if perhaps is None:
                    undefined.missing.setdefault(item, []).append(reference)
                else:
                    undefined.unseen.setdefault(perhaps, set()).add(reference.name)
        return undefined

    def _find_unclear(self, load: Load, reference: Reference) -> Object | None:
        """Return the first library in the process that may export the symbol, although it is not known to."""
        started = self.started.objects if self.started is not None else []
        for item in [*load.objects, *started]:
            may_export = item.may_export
            if may_export is not None and may_export(reference):
                return item
        return None

    def _undefined_at_start(self, item: Object) -> list[Reference]:
        """Return the symbols that *item* imports and that neither the program nor its libraries export."""
        if item not in self._unresolved:
            imports = item.symbols.imports if item.ours and item.symbols is not None else ()
            self._unresolved[item] = self._without_exported(imports)
        return self._unresolved[item]

    def _without_exported(self, references: Iterable[Reference]) -> list[Reference]:
        """Return those of *references* that the program and its libraries don't export to all that is loaded later."""
        rest = [reference for reference in references if reference not in self._exported]
        unknown = [reference for reference in rest if reference not in self._not_exported]
        # Most files need symbols of few of them, so each one's symbols are read when those before don't suffice.
        for item in self.started.objects if self.started is not None else ():
            if not unknown:
                break
            symbols = item.symbols
            if symbols is not None:
                self._exported.update([one for one in unknown if is_exported(one, symbols.exports)])
                unknown = [reference for reference in unknown if reference not in self._exported]
        self._not_exported.update(unknown)
        return [reference for reference in rest if reference in self._not_exported]


def is_exported(reference: Reference, exports: AbstractSet[str]) -> bool:
    """Return whether *exports* has the symbol, in the version that *reference* asks for."""
    if not reference.version:
        return reference.name in exports
    return f"{reference.name}@{reference.version}" in exports or f"{reference.name}@" in exports


def _add_soname(names: dict[str, Object], item: Object) -> None:
    if item.facts.soname:
        names.setdefault(item.facts.soname, item)
