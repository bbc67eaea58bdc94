"""Which files of a bundle a trimmed package has: what its app can import, and what that needs.

Python files of packages become byte-code. Data files stay with their package. Libraries stay if a file that stays needs
them, or none of the files that go does. Where something may be needed, it stays.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING

from incamera.elf import is_elf, read_needed
from incamera.runtime import layout
from incamera.runtime.module_graph import ModuleGraph, Reached
from incamera.runtime.trimming import ENTRY_POINTS

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.target import Target
    from incamera.tree import Entry

# Increase it when the same bundle is trimmed in another way.
FORMAT = 4
# For compilers and type checkers.
_FOR_BUILDS = (".h", ".hpp", ".pxd", ".pyi", ".pyx", ".c", ".cpp", ".f90", ".src", ".a")
_METADATA = re.compile(r"[^/]+\.(?:dist-info|egg-info)(?:/(?P<file>.+))?")
_KEPT_METADATA = ("METADATA", "PKG-INFO", ENTRY_POINTS, "top_level.txt")
# The groups of entry points that no app loads.
_BUILD_GROUPS = re.compile(
    r"console_scripts|gui_scripts|distutils\..*|setuptools\..*|egg_info\..*|pytest11|pyinstaller40"
)
_GROUP = re.compile(r"\[\s*(?P<name>[^\]]+?)\s*\]")
_ENTRY = re.compile(r"[^=#\[\]]+=\s*(?P<module>[\w.]+)")
_PROGRAMS = ("bin/python", "bin/python3")
# For deploying, running and attaching; a camera starts a package by itself.
_FOR_RUNS = ("bin/incamera-guard", "etc/trimmed.json", f"{layout.PACKAGES}/incamera_agent.pth")
_RECORD_LINE = re.compile(r"import time:[^|]*\|[^|]*\|\s*(?P<timed>[\w.]+)\s*|\s*(?P<plain>[\w.]+)\s*", re.ASCII)
_STEM = re.compile(r"(?P<stem>lib[\w+-]+?)(?:-[0-9a-f]{8})?\.so")


@dataclass(frozen=True, slots=True)
class Trim:
    """What stays of a bundle: *kept* maps the paths in the package's bundle to those in the bundle itself.

    *dropped* are the other paths. *opaque* are compiled modules whose imports cannot be seen, so that all modules stay.
    """

    kept: Mapping[str, str]
    dropped: tuple[str, ...]
    opaque: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A digest of what is kept."""
        return hashlib.sha256(json.dumps(sorted(self.kept.items())).encode()).hexdigest()

    def name_dropped(self, sizes: Mapping[str, int]) -> list[tuple[str, int]]:
        """Return the names of what was dropped, and their bytes by the *sizes* of paths; the largest first."""
        found: dict[str, int] = {}
        cached = {source.replace("/__pycache__/", "/") for source in self.kept.values() if "/__pycache__/" in source}
        stems = {path.rpartition(".cpython-")[0] for path in cached}
        for path in self.dropped:
            name = "sources of packages" if path.removesuffix(".py") in stems else _name(path)
            found[name] = found.get(name, 0) + sizes.get(path, 0)
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _name(path: str) -> str:
    """Return what the file *path* of a bundle belongs to, for people: a package, a module, a library."""
    words = path.split("/")
    if "dist-packages" in words:
        words = words[words.index("dist-packages") + 1 :]
        return ".".join(words[:2]) if len(words) > 2 else words[0]
    if words[0] == "lib" and len(words) > 2:
        name = words[3] if words[2] == "lib-dynload" and len(words) > 3 else words[2]
        return name.partition(".")[0]
    return words[-1] if words[0] in ("lib", "bin") else "/".join(words[:2])


def parse_record(text: str) -> list[str]:
    """Return the modules that a recorded run has imported: one a line, or what `python -X importtime` prints."""
    found = (match for line in text.splitlines() if (match := _RECORD_LINE.fullmatch(line)))
    return [match["timed"] or match["plain"] for match in found]


def plan_trim(
    root: Path,
    entries: Sequence[Entry],
    target: Target,
    sources: Path,
    *,
    arguments: Sequence[str] = (),
    recorded: Iterable[str] = (),
    keep: Sequence[str] = (),
) -> Trim:
    """Return what stays of the bundle in *root*, which *arguments* of its Python start.

    *sources*: a folder with the sources of the standard library. *recorded*: further modules. *keep*: patterns of paths
    that stay.
    """
    return _Trimming(root, entries, target, sources, keep).run(arguments, recorded)


class _Trimming:
    def __init__(
        self, root: Path, entries: Sequence[Entry], target: Target, sources: Path, keep: Sequence[str]
    ) -> None:
        self._root = root
        self._entries = {entry.path: entry for entry in entries}
        self._target = target
        self._keep = keep
        self._graph = ModuleGraph(root, self._entries, target, sources)
        self._stdlib = layout.stdlib(target)
        self._needed: dict[str, Sequence[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        for path in self._entries:
            if ".so" in path:
                self._by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def run(self, arguments: Sequence[str], recorded: Iterable[str]) -> Trim:
        wanted = {path for path in self._entries if any(fnmatchcase(path, pattern) for pattern in self._keep)}
        roots = [*recorded, *self._entry_points(), *_started(arguments), *self._graph.names_of(wanted)]
        code = [*self._start_code(), *(code for option, code in pairwise(arguments) if option == "-c")]
        reached = self._graph.follow(roots, code)
        modules = self._graph.module_paths()
        stays = {
            path
            for path in self._entries
            if path in reached.paths or (path not in modules and self._is_data(path, reached))
        }
        stays -= self._unneeded(stays, reached)
        stays |= wanted
        kept = {self._place(path): self._byte_code(path) for path in stays}
        kept |= {cached: cached for path in wanted if (cached := self._cached(path)) in self._entries}
        used = set(kept.values())
        dropped = [path for path in self._entries if path not in used]
        return Trim(dict(sorted(kept.items())), tuple(dropped), tuple(reached.opaque))

    def _start_code(self) -> list[str]:
        """Return the lines of `.pth` files that Python runs when it starts."""
        return [
            line
            for path in self._entries
            if re.fullmatch(rf"{layout.PACKAGES}/[^/]+\.pth", path) and path not in _FOR_RUNS
            for line in (self._root / path).read_text("utf-8", "replace").splitlines()
            if line.startswith(("import ", "import\t"))
        ]

    def _entry_points(self) -> list[str]:
        """Return the modules that distributions offer to others as plugins."""
        found = []
        for path in self._entries:
            if not path.startswith(f"{layout.PACKAGES}/") or not path.endswith(f"/{ENTRY_POINTS}"):
                continue
            group = ""
            for line in (self._root / path).read_text("utf-8", "replace").splitlines():
                if match := _GROUP.match(line):
                    group = match["name"]
                elif (match := _ENTRY.match(line)) and not _BUILD_GROUPS.fullmatch(group):
                    found.append(match["module"])
        return found

    def _is_data(self, path: str, reached: Reached) -> bool:
        """Return whether the file *path* stays, which is no module."""
        if path in _FOR_RUNS:
            return False
        if "/__pycache__/" in path and not path.startswith(f"{layout.APP}/"):
            return _source_of(path) in reached.paths and not path.startswith(f"{layout.PACKAGES}/")
        if path.startswith("bin/"):
            return path in _PROGRAMS or path == f"bin/python{self._target.python}"
        for place in (layout.PACKAGES, self._stdlib):
            if path.startswith(f"{place}/"):
                return self._is_package_data(path.removeprefix(f"{place}/"), place, reached)
        return True  # libraries are looked at later

    def _is_package_data(self, path: str, place: str, reached: Reached) -> bool:
        if match := _METADATA.match(path):
            return match["file"] is None or match["file"].rpartition("/")[2] in _KEPT_METADATA
        if path.endswith(_FOR_BUILDS):
            return path.endswith(".pyi") and self._is_stub(f"{place}/{path}")
        folder = path.rpartition("/")[0]
        while folder:
            name = folder.replace("/", ".")
            if name in reached.modules:
                return True
            if self._graph.has_package(f"{place}/{folder}"):
                return any(module.startswith(f"{name}.") for module in reached.modules)
            folder = folder.rpartition("/")[0]
        return place == layout.PACKAGES

    def _is_stub(self, path: str) -> bool:
        """Return whether lazy_loader reads the stub *path*: its module says so."""
        try:
            return b"attach_stub" in (self._root / path).with_suffix(".py").read_bytes()
        except OSError:
            return False

    def _unneeded(self, stays: set[str], reached: Reached) -> set[str]:
        """Return which of the files that stay so far only those need that go: libraries, and data of the runtime."""
        modules = self._graph.module_paths()
        going = self._libraries_of(path for path in modules if path.endswith(".so") and path not in stays)
        always = {f"{layout.LIBRARIES}/{name}" for name in layout.always_included()}
        named = {path for path in going if self._is_named(path)}
        named |= {link for path in named if (link := self._link(path)) is not None}
        needed = always | named | self._libraries_of([*named, *self._programs(stays - going)])
        found = going & stays - needed
        found |= {path for path in stays if (link := self._link(path)) is not None and link in found}
        names = {path.rpartition("/")[2] for path in stays - found}
        if "zoneinfo" not in reached.modules and not self._graph.has_word("zoneinfo"):
            found |= self._below("share/zoneinfo")
        if not {"_curses", "readline"} & reached.modules:
            found |= self._below("share/terminfo")
        if "ssl" not in reached.modules and not any(name.startswith("libssl.so") for name in names):
            found |= self._below("etc/ssl")
        return found

    def _programs(self, paths: Iterable[str]) -> list[str]:
        """Return those of *paths* that may be ELF files."""
        return [path for path in paths if ".so" in path or self._entries[path].executable]

    def _libraries_of(self, paths: Iterable[str]) -> set[str]:
        """Return the libraries in the bundle that the ELF files *paths* need, and that these need."""
        found: set[str] = set()
        queue = list(paths)
        while queue:
            path = queue.pop()
            for name in self._needs(path):
                for library in self._by_name.get(name, ()):
                    if library not in found:
                        found.add(library)
                        queue.append(self._link(library) or library)
        return found | {link for path in found if (link := self._link(path)) is not None}

    def _needs(self, path: str) -> Sequence[str]:
        if path not in self._needed:
            full = self._root / path
            try:
                self._needed[path] = read_needed(full) if is_elf(full) else ()
            except (OSError, ValueError):
                self._needed[path] = ()
        return self._needed[path]

    def _link(self, path: str) -> str | None:
        """Return where the link *path* leads; None for what is no link."""
        entry = self._entries.get(path)
        if entry is None or not entry.link:
            return None
        return posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.link))

    def _is_named(self, path: str) -> bool:
        """Return whether a source of the app or of a package names the library *path*, to open it with ctypes."""
        match = _STEM.match(path.rpartition("/")[2])
        stem = re.escape(match["stem"]) if match else re.escape(path.rpartition("/")[2])
        return self._graph.has_word(rf"""{stem}\.so|find_library\(\s*["']{stem.removeprefix("lib")}["']""")

    def _below(self, folder: str) -> set[str]:
        return {path for path in self._entries if path.startswith(f"{folder}/")}

    def _place(self, path: str) -> str:
        """Return the path in the package: byte-code of packages lies where their source was."""
        return f"{path}c" if self._byte_code(path) != path else path

    def _byte_code(self, path: str) -> str:
        """Return the path of the byte-code of the module *path* of a package, or *path* itself."""
        if not path.startswith(f"{layout.PACKAGES}/") or not path.endswith(".py"):
            return path
        if any(fnmatchcase(path, pattern) for pattern in self._keep):
            return path
        cached = self._cached(path)
        return cached if cached in self._entries else path

    def _cached(self, path: str) -> str:
        """Return where Python looks for the byte-code of the source *path*."""
        folder, _, name = path.rpartition("/")
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-{self._target.python.replace('.', '')}.pyc"


def _source_of(cached: str) -> str:
    """Return the path of the source of the byte-code *cached*."""
    folder, _, name = cached.partition("/__pycache__/")
    return f"{folder}/{name.partition('.')[0]}.py"


def _started(arguments: Sequence[str]) -> list[str]:
    """Return the module that *arguments* of Python start, with `-m`, and what starts it."""
    if "-m" not in arguments:
        return []
    module = arguments[arguments.index("-m") + 1]
    return [module, f"{module}.__main__", "runpy"]
