"""What of a folder could be its app's entry, the most certain first."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from incamera.project.files import is_left_out

_MAX_BYTES = 1_000_000
# Scripts that tools read, and no app.
_TOOLS = re.compile(r"setup|conftest|noxfile|tasks|fabfile|versioneer|hatch_build|dodo|wscript|test_.*|.*_test|_.*")
_FOLDERS = frozenset({"tests", "test", "docs", "doc", "examples", "scripts", "tools", "bench", "benchmarks"})
_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class EntryChoice:
    """An *entry*, as [tool.incamera] has it, and *why* it may be meant."""

    entry: str
    why: str


def find_entries(folder: Path, scripts: Mapping[str, str], *, has_build_system: bool) -> list[EntryChoice]:
    """Return the entries that *folder* may have. Those of one kind only: the most certain that there is.

    *scripts* are the project's console scripts. More than one entry means that the user has to say which.
    """
    kinds = (
        _from_scripts(folder, scripts, has_build_system=has_build_system),
        _from_packages(folder, has_build_system=has_build_system),
        _from_app(folder),
        _from_files(folder),
    )
    return next((found for kind in kinds if (found := list(kind))), [])


def top_modules(folder: Path) -> list[str]:
    """Return the modules in *folder* itself that an app may import, sorted."""
    return sorted(path.stem for path in _files(folder) if path.stem.isidentifier())


def _from_scripts(folder: Path, scripts: Mapping[str, str], *, has_build_system: bool) -> Iterator[EntryChoice]:
    known: dict[str, EntryChoice] = {}
    for name, reference in scripts.items():
        if (match := _REFERENCE.fullmatch(reference.partition("[")[0].strip())) is None:
            continue
        # Without a build, the camera gets the folder as it is, and imports from there.
        if has_build_system or _is_module(folder, match[1]):
            known.setdefault(match[0], EntryChoice(match[0], f"the script {name}"))
    yield from known.values()


def _from_packages(folder: Path, *, has_build_system: bool) -> Iterator[EntryChoice]:
    roots = [folder, *([folder / "src"] if has_build_system else [])]
    for root in roots:
        for path in sorted(root.glob("*/__main__.py")):
            name = path.parent.name
            if name.isidentifier() and name not in _FOLDERS and not is_left_out(name):
                yield EntryChoice(name, f"{path.relative_to(folder)}")
    if (folder / "__main__.py").is_file():
        yield EntryChoice("__main__.py", "__main__.py")


def _from_app(folder: Path) -> Iterator[EntryChoice]:
    if (folder / "app.py").is_file():
        yield EntryChoice("app.py", "app.py")


def _from_files(folder: Path) -> Iterator[EntryChoice]:
    files = [path for path in _files(folder) if re.fullmatch(r"[\w.-]+\.py", path.name)]
    guarded = [path for path in files if _runs_as_script(path)]
    for path in guarded or files:
        yield EntryChoice(path.name, "has `if __name__ == …`" if guarded else "a script")


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.glob("*.py")
        if path.is_file() and not _TOOLS.fullmatch(path.stem) and not is_left_out(path.name)
    )


def _is_module(folder: Path, module: str) -> bool:
    path = folder.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def _runs_as_script(path: Path) -> bool:
    tree = _parse(path)
    return tree is not None and any(
        isinstance(node, ast.If)
        and any(isinstance(name, ast.Name) and name.id == "__name__" for name in ast.walk(node.test))
        for node in tree.body
    )


def imported_modules(paths: list[Path]) -> list[str]:
    """Return the top-level modules that the Python files *paths* import for certain, without the standard library's.

    An import inside `try` is one that the app can do without.
    """
    found: dict[str, None] = {}
    for path in paths:
        waiting: list[ast.AST] = [tree] if (tree := _parse(path)) is not None else []
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Try) and node.handlers:
                continue
            if isinstance(node, ast.Import):
                found |= dict.fromkeys(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = None
            waiting += ast.iter_child_nodes(node)
    return sorted(name for name in found if name not in sys.stdlib_module_names)


def _parse(path: Path) -> ast.Module | None:
    try:
        with path.open("rb") as stream:
            return ast.parse(stream.read(_MAX_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
