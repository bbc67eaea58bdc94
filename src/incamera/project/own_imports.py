"""Which modules of an app import which others of it, found by reading them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path


def find_reached(folder: Path, files: Collection[str], starts: Sequence[str]) -> list[str]:
    """Return those of *files*, paths of modules below *folder*, that are imported when the files *starts* run.

    Those come first. An import inside a function counts, too.
    """
    known = set(files)
    reached: dict[str, None] = {}
    queue = [path for path in starts if path in known]
    while queue:
        path = queue.pop(0)
        if path in reached:
            continue
        reached[path] = None
        for module in find_imported(folder / path, path.split("/")[:-1]):
            queue += [found for found in (f"{module}.py", f"{module}/__init__.py") if found in known]
    return list(reached)


def find_imported(path: Path, package: Sequence[str]) -> Iterator[str]:
    """Yield what the module *path* in *package* may import of the project, each as `a/b`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _candidates(package, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            for alias in node.names:
                if node.level:
                    above = list(package[: max(0, len(package) - node.level + 1)])
                    yield from _prefixes([*above, *base, alias.name])
                else:
                    yield from _candidates(package, [*base, alias.name])


def _candidates(package: Sequence[str], parts: list[str]) -> Iterator[str]:
    """Yield the places of an absolute import: in the project's folder, and beside a script in a folder of it."""
    yield from _prefixes(parts)
    if package:
        yield from _prefixes([*package, *parts], len(package))


def _prefixes(parts: list[str], first: int = 0) -> Iterator[str]:
    for end in range(first + 1, len(parts) + 1):
        yield "/".join(parts[:end])
