"""The files of a script: itself, and the modules beside it that it imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from incamera.project.files import project_files

# A script that imports more modules of its own folder is not looked at further.
_MOST_MODULES = 500


def script_files(folder: Path, name: str) -> list[str]:
    """Return the script *name* of *folder* and the modules and packages of that folder that it imports, sorted.

    They are found by reading the imports. Nothing else of the folder belongs to the app: it may be anyone's home.
    """
    found = {name}
    queue = [name]
    while queue and len(found) < _MOST_MODULES:
        for module in _imported(folder / queue.pop()):
            if not (module.isidentifier() and module.isascii()):
                continue
            new = []
            if (folder / f"{module}.py").is_file():
                new = [f"{module}.py"]
            elif (folder / module / "__init__.py").is_file():
                new = [f"{module}/{path}" for path in project_files(folder / module)]
            new = [path for path in new if path not in found]
            found.update(new)
            queue += [path for path in new if path.endswith(".py")]
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    """Yield the top-level names of the modules that the file *path* imports; none where it is no valid Python."""
    import ast  # lazy: most projects have a pyproject.toml

    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
