"""Which modules the Python files of a subject import for certain.

An import counts when it stands at the top level of a file, under no condition, and no handler hides its failure. What
is imported in another way (in a function, by `importlib`, in a `try` that continues without it) may never be loaded.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from incamera.abi.unpack import MAX_SOURCE_BYTES
from incamera.archives import BadArchive

if TYPE_CHECKING:
    from incamera.abi.subject import Subject


def find_imported(subject: Subject, modules: Iterable[str]) -> set[str]:
    """Return those of *modules*, paths without a suffix (`fast/core`), that some file imports for certain."""
    wanted = set(modules)
    if not wanted:
        return set()
    stems = "|".join(sorted(re.escape(posixpath.basename(path)) for path in wanted))
    pattern = re.compile(rf"\b(?:{stems})\b".encode())
    sources = set(subject.sources)
    found: set[str] = set()
    for path in subject.sources:
        tree = _parse(subject, path, pattern)
        for folder, names in _imports(tree, path) if tree is not None else ():
            for module in wanted - found:
                if folder is None:
                    is_named = any(_is_root(root, path, sources) for root in _roots(module, names))
                else:
                    is_named = _begins_with(posixpath.join(folder, *names), module)
                if is_named:
                    found.add(module)
        if found == wanted:
            break
    return found


def _parse(subject: Subject, path: str, pattern: re.Pattern[bytes]) -> ast.Module | None:
    try:
        data = subject.read(path, limit=MAX_SOURCE_BYTES)
        return ast.parse(data) if pattern.search(data) else None
    except (OSError, BadArchive, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imports(tree: ast.Module, path: str) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each module that *tree* imports: the folder that a relative name starts at (else None), and its parts."""
    folder = posixpath.dirname(path)
    for node in _unconditional(tree.body):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield None, name.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            start: str | None = None
            if node.level:
                start = folder
                for _ in range(node.level - 1):
                    start = posixpath.dirname(start)
            parts = node.module.split(".") if node.module else []
            if parts:
                yield start, parts
            for name in node.names:
                yield start, [*parts, name.name]


def _unconditional(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.Try):
            if all(_raises(handler) for handler in node.handlers):
                yield from _unconditional(node.body)
            yield from _unconditional(node.finalbody)
        elif isinstance(node, (ast.With, ast.ClassDef)):
            yield from _unconditional(node.body)
        else:
            yield node


def _raises(handler: ast.ExceptHandler) -> bool:
    return bool(handler.body) and isinstance(handler.body[-1], ast.Raise)


def _roots(module: str, names: list[str]) -> Iterator[str]:
    """Yield the folders (`app/`) in which the import of *names* would be that of *module*, or import it on the way."""
    for count in range(1, len(names) + 1):
        ending = "/".join(names[:count])
        if f"/{module}".endswith(f"/{ending}"):
            yield module.removesuffix(ending)


def _is_root(folder: str, path: str, sources: set[str]) -> bool:
    """Return whether the file at *path* finds modules in *folder*: on Python's path, or above the file."""
    if f"{folder}__init__.py" in sources:
        return False  # a package, whose modules have its name in theirs
    return folder in ("", "app/") or folder.endswith("-packages/") or path.startswith(folder)


def _begins_with(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}/")
