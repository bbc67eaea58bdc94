"""Plans the order of a runtime's files in its image: those that starts and imports read come first.

So a camera can read them ahead in a few large pieces. The order is computed from the files, so that equal runtimes give
equal images: the files of the interpreter's own start, then each package with its imports, down to the libraries of
extension modules. `data/order.toml` has what cannot be computed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.elf import read_loading_parts, read_needed
from incamera.runtime import layout
from incamera.runtime.images.imports import find_imports

if TYPE_CHECKING:
    from incamera.targets.target import Target
    from incamera.tree import Entry

_CACHED = re.compile(r"(?P<folder>.*/)__pycache__/(?P<name>[^/]+)\.cpython-\d+\.pyc")


@dataclass(frozen=True, slots=True)
class Order:
    """The files of a runtime in the order in which its image has them.

    `hot`: the files that a start reads, in its order. `rest`: all others.
    `parts`: for each hot file that a start reads in parts, these parts, as (start, end) offsets in bytes.
    """

    hot: Sequence[str]
    rest: Sequence[str]
    parts: Mapping[str, Sequence[tuple[int, int]]]

    @property
    def whole(self) -> list[str]:
        """The hot files that a start reads completely."""
        return [file for file in self.hot if file not in self.parts]

    def bytes_read(self, file: str, size: int) -> int:
        """Return how many bytes from the beginning of the hot *file* of *size* bytes a start reads."""
        return self.parts[file][0][1] if file in self.parts else size


def plan_order(tree: Path, entries: Iterable[Entry], target: Target) -> Order:
    """Return the order of the files *entries* of the runtime in *tree*."""
    entries = list(entries)
    files = [entry.path for entry in entries if not entry.link]
    links = {entry.path: entry.link for entry in entries if entry.link}
    modules = _index_modules(files, target)
    reader = _Reader(tree, set(files), links, modules, target)
    reader.add("bin/python3", "bin/incamera-guard", "etc/launcher", f"lib/{target.architecture.facts.loader}")
    reader.add_elf(layout.interpreter(target))
    reader.add(*(file for file in files if file.startswith(layout.PACKAGES) and file.endswith(".pth")))
    for name in [*_settings()["start"], *_roots(modules)]:
        reader.add_module(name)
    hot = reader.order
    taken = set(hot)
    # A module's source and byte-code are put side by side: they have much text in common, so they compress better.
    rest = sorted((file for file in files if file not in taken), key=_stem)
    patterns = _settings()["partly_read"]["libraries"]
    large = [file for file in hot if any(fnmatchcase(file.rpartition("/")[2], pattern) for pattern in patterns)]
    parts = {file: read_loading_parts(tree / file) for file in large}
    return Order(hot, rest, {file: found for file, found in parts.items() if found})


class _Reader:
    """Finds the files that imports read, each once, in their order."""

    def __init__(
        self, tree: Path, files: set[str], links: Mapping[str, str], modules: Mapping[str, str], target: Target
    ) -> None:
        self._tree = tree
        self._files = files
        self._links = links
        self._modules = modules
        self._stdlib = _load_stdlib(target.python)
        self._prefix = f"{layout.PACKAGES}/"
        # A wheel's own libraries are in a folder beside its package. Their file names are unique.
        self._wheel_libraries = {
            file.rpartition("/")[2]: file for file in files if file.startswith(self._prefix) and ".so" in file
        }
        self._seen: set[str] = set()
        self._order: dict[str, None] = {}

    @property
    def order(self) -> list[str]:
        return list(self._order)

    def add(self, *paths: str) -> None:
        self._order.update(dict.fromkeys(path for path in paths if path in self._files))

    def add_elf(self, path: str) -> None:
        """Add *path* and the libraries that it needs, which are loaded before it is used."""
        if path in self._order or path not in self._files:
            return
        self.add(path)
        for name in read_needed(self._tree / path):
            library = f"lib/{self._links.get(f'lib/{name}', name)}"
            self.add_elf(library if library in self._files else self._wheel_libraries.get(name, library))

    def add_module(self, root: str) -> None:
        """Add the files of the module *root*, and of all modules that it imports."""
        stack = [root]
        while stack:  # not recursive, since chains of imports are long
            name = stack.pop()
            if name in self._seen:
                continue
            self._seen.add(name)
            parent = name.rpartition(".")[0]
            if parent and parent not in self._seen:
                stack += [name, parent]
                self._seen.discard(name)
                continue
            path = self._modules.get(name)
            if path is not None:
                if path.endswith(".so"):
                    self.add_elf(path)
                else:
                    self.add(path)
            stack += reversed(self._imports_of(name, path))

    def _imports_of(self, name: str, path: str | None) -> list[str]:
        listed: list[str] = _settings()["extensions"].get(name, [])
        if path is None or not path.startswith(self._prefix):
            return [*listed, *self._stdlib.get(name, ())]
        if path.endswith(".so"):
            return listed
        source = self._tree / _source(path)
        if not source.is_file():
            return listed
        is_package = source.name == "__init__.py"
        found = find_imports(source.read_text("utf-8", "replace"), name, is_package=is_package)
        return [*listed, *(each for each in found if each in self._modules or each in self._stdlib)]


def _index_modules(files: Iterable[str], target: Target) -> dict[str, str]:
    """Return the file that is read for each importable module, by the module's name."""
    stdlib = f"{layout.stdlib(target)}/"
    found: dict[str, str] = {}
    for file in files:
        if file.startswith(stdlib):
            path = file.removeprefix(stdlib).removeprefix("lib-dynload/")
        elif file.startswith(f"{layout.PACKAGES}/"):
            path = file.removeprefix(f"{layout.PACKAGES}/")
        else:
            continue
        if match := _CACHED.fullmatch(f"/{path}"):
            path = (match["folder"] + match["name"]).lstrip("/")
        elif path.endswith(".so"):
            path = path.removesuffix(".so")
            path = path[: -len(path.rpartition("/")[2])] + path.rpartition("/")[2].partition(".")[0]
        elif path.endswith(".pyc"):
            path = path.removesuffix(".pyc")
        else:
            continue
        found.setdefault(path.removesuffix("/__init__").replace("/", "."), file)
    return found


def _roots(modules: Mapping[str, str]) -> Iterator[str]:
    """Yield the packages that an app may import."""
    tools = set(_settings()["tools"]["packages"])
    for name, path in sorted(modules.items()):
        if "." not in name and path.startswith(layout.PACKAGES) and name not in tools:
            yield name


def _source(path: str) -> str:
    match = _CACHED.fullmatch(path)
    return f"{match['folder']}{match['name']}.py" if match else path


def _stem(path: str) -> tuple[bool, str, str]:
    return ".so" in path, _source(path).removesuffix(".py"), path


@cache
def _settings() -> dict[str, Any]:
    return tomllib.loads(_data("order.toml"))


@cache
def _load_stdlib(python: str) -> dict[str, list[str]]:
    loaded: dict[str, list[str]] = json.loads(_data(f"stdlib-{python}.json"))
    return loaded


def _data(name: str) -> str:
    return resources.files("incamera.runtime.images").joinpath(f"data/{name}").read_text("utf-8")
