"""What trimming left out of a runtime, and which of it the code that stays imports.

A pattern of trim.toml may fit a module that something imports: h5py imports its own `tests` when it starts. So the code
that stays is searched for imports of what was dropped. Only files that name a dropped module are parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import StoreError
from incamera.runtime import layout
from incamera.runtime.named_modules import Named, find_named

if TYPE_CHECKING:
    from incamera.targets.target import Target

TRIMMED = "etc/trimmed.json"
ENTRY_POINTS = "entry_points.txt"
_MODULE = re.compile(r"(?P<name>(?:\w+/)*\w+)(?:\.py|(?:\.[\w-]+)?\.so)")
_IMPORTING = (b"import", b"run_module", b"resolve_name")
# Nothing in a camera imports these: pytest, to run the tests that are dropped, and builds.
_NEVER_IMPORTED = ("conftest.py", "setup.py")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A package or module that was dropped as a whole: its *path* in the runtime, and what it is imported as.

    *is_checked*: nothing in its own package needs it, somebody has looked. *packages*: the Debian packages and wheels
    that have its files.
    """

    path: str
    module: str
    is_checked: bool
    packages: frozenset[str] = frozenset()

    def is_checked_by(self, package: str) -> bool:
        """Return whether *package* may import it, since it is known that nothing needs that in a camera."""
        return self.is_checked and self.module.partition(".")[0] == package

    def has(self, path: str) -> bool:
        """Return whether the file *path* is a part of it."""
        return path == self.path or path.startswith(f"{self.path}/")


@dataclass
class Dropped:
    """Collects the paths that a layout drops; `plan_layout` and `plan_wheel` call `add`, from several threads."""

    paths: list[str] = field(default_factory=list)

    def add(self, path: str) -> None:
        """Note *path*, if it is a module, or may be a data file that a module reads."""
        if path.endswith((".py", ".so")) or layout.is_dropped_unless_imported(path):
            self.paths.append(path)

    def units(self, target: Target, owners: Mapping[str, str]) -> list[Unit]:
        """Return the packages and modules that were dropped. *owners* maps the path of each file to its package."""
        by_folder: dict[str, set[str]] = {}
        for file, owner in owners.items():
            folder = file.rpartition("/")[0]
            by_folder.setdefault(folder, set()).add(owner)
        found = {}
        for path in sorted(set(self.paths)):
            root = next((root for root in _roots(target) if path.startswith(f"{root}/")), None)
            if root is None:
                continue
            unit = _find_unit(path, root)
            module = _module_of(unit.removeprefix(f"{root}/"))
            if module is not None and module not in layout.replaced_modules() and unit not in found:
                found[unit] = Unit(
                    path=unit,
                    module=module,
                    is_checked=not layout.is_dropped_unless_imported(f"{unit}/"),
                    packages=_owners(unit.rpartition("/")[0], root, by_folder),
                )
        return list(found.values())


def write_trimmed(tree: Path, units: Iterable[Unit]) -> None:
    """Write what was dropped into the runtime in *tree*."""
    rows = [[unit.path, unit.module, unit.is_checked, sorted(unit.packages)] for unit in units]
    (tree / "etc").mkdir(exist_ok=True)
    (tree / TRIMMED).unlink(missing_ok=True)  # in a bundle, it is a hard link to the runtime's
    (tree / TRIMMED).write_text(json.dumps(sorted(rows), indent=0) + "\n", "utf-8")


def load_trimmed(tree: Path) -> list[Unit]:
    """Return what was dropped of the runtime in *tree*. Raises StoreError for damage."""
    try:
        rows = json.loads((tree / TRIMMED).read_text("utf-8"))
        return [
            Unit(path=path, module=module, is_checked=is_checked, packages=frozenset(packages))
            for path, module, is_checked, packages in rows
        ]
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"the runtime {tree} is damaged: {error}", hint="remove damaged files with `incamera store verify`"
        ) from error


def find_imported(
    root: Path, files: Iterable[str], units: Iterable[Unit], *, modules: Iterable[str] = ()
) -> list[Unit]:
    """Return which of *units* the Python *files* import; their paths are relative to *root*, from which they import.

    So do entry points of distributions (`entry_points.txt` among *files*), and whatever imports *modules*. An import
    inside a function counts too, one for type checkers only does not. A unit that is a guess is also taken where a text
    names it: the module of a plugin, or the path of a data file.
    """
    search = _Search({unit.module: unit for unit in units})
    search.take("", [Named(module) for module in modules])
    for file in files:
        name = file.rpartition("/")[2]
        if not search.left or name in _NEVER_IMPORTED:
            continue
        try:
            data = (root / file).read_bytes()
            stub = (root / file).with_suffix(".pyi").read_bytes() if b"attach_stub" in data else b""
        except OSError:
            continue
        own = file.partition("/")[0].removesuffix(".py")
        if name == ENTRY_POINTS:
            search.take("", map(Named, _entry_points(data)))
        elif search.may_find(own, data + stub):
            search.take(own, find_named(data, file))
            search.take(own, find_named(stub, file))
    return search.found


class _Search:
    """What is looked for: the units *left* by the names of their modules."""

    def __init__(self, left: dict[str, Unit]) -> None:
        self.left = left
        self.found: list[Unit] = []
        self._imported: dict[str, re.Pattern[bytes]] = {}
        guesses = _last_parts(unit.module for unit in left.values() if not unit.is_checked)
        # As they are in a text: "tests", ".tests", "package.tests", "tests/data.json", "package.tests:function".
        self._named = re.compile(rb"""(?<=["'./}])(?:%s)(?=["'./:])""" % guesses)

    def may_find(self, own: str, data: bytes) -> bool:
        """Return whether *data* is worth parsing, the source of a module of the package *own*."""
        if own not in self._imported:
            names = _last_parts(unit.module for unit in self.left.values() if not unit.is_checked_by(own))
            self._imported[own] = re.compile(rb"\b(?:%s)\b" % names)
        return bool(self._imported[own].search(_import_lines(data)) or self._named.search(data))

    def take(self, own: str, named: Iterable[Named]) -> None:
        """Note which units *named* has, that a module of the package *own* names."""
        for one in named:
            for module in [module for module in self.left if one.name == module or one.name.startswith(f"{module}.")]:
                unit = self.left[module]
                if not (unit.is_checked if one.is_text else unit.is_checked_by(own)):
                    self.found.append(self.left.pop(module))


def _last_parts(modules: Iterable[str]) -> bytes:
    """Return a pattern for the last parts of the names *modules*."""
    names = sorted({re.escape(module.rpartition(".")[2]) for module in modules})
    return "|".join(names).encode() if names else b"(?!)"


def _entry_points(data: bytes) -> Iterator[str]:
    """Yield the modules that the entry points of a distribution name."""
    for line in data.decode("utf-8", "replace").splitlines():
        match = re.match(r"[^=\[\]]+=\s*([\w.]+)", line)
        if match:
            yield match[1]


def _import_lines(data: bytes) -> bytes:
    """Return the lines of *data* that have what looks like an import. Parsing every file would take much longer."""
    lines = []
    for word in _IMPORTING:
        end = 0
        while (place := data.find(word, end)) >= 0:
            start = data.rfind(b"\n", 0, place) + 1
            end = _line_end(data, place)
            while data[end - 1 : end] == b"\\":  # the statement goes on in the next line
                end = _line_end(data, end + 1)
            opened = data.find(b"(", place, end)
            if opened >= 0:
                closed = data.find(b")", opened)
                end = max(end, _line_end(data, closed) if closed >= 0 else 0)
            lines.append(data[start:end])
    return b"\n".join(lines)


def _line_end(data: bytes, place: int) -> int:
    end = data.find(b"\n", place)
    return end if end >= 0 else len(data)


@cache
def _roots(target: Target) -> tuple[str, ...]:
    stdlib = layout.stdlib(target)
    return (layout.PACKAGES, f"{stdlib}/lib-dynload", stdlib)


def _find_unit(path: str, root: str) -> str:
    """Return the topmost folder around *path* in which everything is dropped; *path* itself when there is none."""
    folder = root
    for part in path.removeprefix(f"{root}/").split("/")[:-1]:
        folder = f"{folder}/{part}"
        if layout.is_dropped_folder(folder):
            return folder
    return path


def _module_of(path: str) -> str | None:
    if "." not in path.rpartition("/")[2]:
        return path.replace("/", ".")
    match = _MODULE.fullmatch(path)
    return match["name"].removesuffix("/__init__").replace("/", ".") if match else None


def _owners(folder: str, root: str, by_folder: Mapping[str, set[str]]) -> frozenset[str]:
    """Return the packages that have files in *folder*, or in the nearest one above it."""
    while folder not in by_folder and folder != root and "/" in folder:
        folder = folder.rpartition("/")[0]
    return frozenset(by_folder.get(folder, ()))


def select_units(select: Callable[[str], str | None], units: Iterable[Unit]) -> Callable[[str], str | None]:
    """Return *select* for the files of *units* alone."""
    wanted = list(units)

    def only(path: str) -> str | None:
        placed = select(path)
        return placed if placed is not None and any(unit.has(placed) for unit in wanted) else None

    return only
