"""What trimming left out of a runtime, and which of it the code that stays imports.

A pattern of trim.toml may fit a module that something imports: h5py imports its own `tests` when it starts. So the code
that stays is searched for imports of what was dropped. Only files that name a dropped module in an import are parsed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import StoreError
from incamera.runtime import layout

if TYPE_CHECKING:
    from incamera.targets.target import Target

TRIMMED = "etc/trimmed.json"
_MODULE = re.compile(r"(?P<name>(?:\w+/)*\w+)(?:\.py|(?:\.[\w-]+)?\.so)")
# Functions that import a module whose name is their first argument.
_IMPORTERS = frozenset({"import_module", "__import__", "run_module", "resolve_name"})
_WORDS = (b"import", b"run_module", b"resolve_name")
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
        """Note *path*, if it is a module."""
        if path.endswith((".py", ".so")):
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


def find_imported(root: Path, files: Iterable[str], units: Iterable[Unit]) -> list[Unit]:
    """Return which of *units* the Python *files* import; their paths are relative to *root*, from which they import.

    An import inside a function counts too, one for type checkers only does not.
    """
    left = {unit.module: unit for unit in units}
    found: list[Unit] = []
    patterns: dict[str, re.Pattern[bytes]] = {}
    for file in files:
        if not left or file.rpartition("/")[2] in _NEVER_IMPORTED:
            continue
        try:
            data = (root / file).read_bytes()
        except OSError:
            continue
        own = file.partition("/")[0].removesuffix(".py")
        if own not in patterns:
            patterns[own] = _pattern(unit.module for unit in left.values() if not unit.is_checked_by(own))
        if not patterns[own].search(_import_lines(data)):
            continue
        for name in _imports(data, file):
            for module in [module for module in left if name == module or name.startswith(f"{module}.")]:
                if not left[module].is_checked_by(own):
                    found.append(left.pop(module))
    return found


def _pattern(modules: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern for the last parts of the names *modules*."""
    names = sorted({re.escape(module.rpartition(".")[2]) for module in modules})
    return re.compile(rf"\b(?:{'|'.join(names)})\b".encode() if names else b"(?!)")


def _import_lines(data: bytes) -> bytes:
    """Return the lines of *data* that have what looks like an import. Parsing every file would take much longer."""
    lines = []
    for word in _WORDS:
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


def _imports(data: bytes, file: str) -> Iterator[str]:
    """Yield the absolute names of modules, and of what may be one, that the module *file* imports."""
    with suppress(SyntaxError, ValueError, RecursionError):
        *package, name = file.removesuffix(".py").split("/")
        del name  # a package's __init__ imports relative to the package, as its modules do
        queue: list[ast.AST] = [ast.parse(data)]
        while queue:
            node = queue.pop()
            if isinstance(node, ast.If) and _is_for_types(node.test):
                queue += node.orelse
                continue
            queue += ast.iter_child_nodes(node)
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = _resolve(node.module or "", node.level, package)
                if base is not None:
                    yield base
                    yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
            elif isinstance(node, ast.Call) and (called := _called_module(node, package)):
                yield called.replace(":", ".")


def _called_module(call: ast.Call, package: list[str]) -> str | None:
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function not in _IMPORTERS or not call.args or not isinstance(call.args[0], ast.Constant):
        return None
    name = call.args[0].value
    if not isinstance(name, str):
        return None
    level = len(name) - len(name.lstrip("."))
    if level:
        anchors = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "package")]
        if anchors and isinstance(anchors[0], ast.Constant) and isinstance(anchors[0].value, str):
            package = anchors[0].value.split(".")
    return _resolve(name.lstrip("."), level, package)


def _resolve(name: str, level: int, package: list[str]) -> str | None:
    if not level:
        return name
    if level > len(package):
        return None
    return ".".join([*package[: len(package) - level + 1], *([name] if name else [])])


def _is_for_types(test: ast.expr) -> bool:
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


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
