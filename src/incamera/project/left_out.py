"""What .gitignore files keep out of an app, for the user: a remark, and a warning where the app imports it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.names import listing
from incamera.project.app_files import EXCLUDE
from incamera.project.gitignore import escape

if TYPE_CHECKING:
    from incamera.project.app_files import Found, LeftOut

_CODE = (".py", ".so")
# An app with more modules is not looked at further.
_MOST_MODULES = 500
_MOST_WARNINGS = 3


def describe_left_out(found: Found) -> str | None:
    """Return what .gitignore files left out; None for nothing. What `exclude` names, the user knows."""
    paths = [item.path for item in found.left_out if item.source != EXCLUDE]
    if not paths:
        return None
    return listing("not sent to the camera, because git ignores it", paths)


def describe_reason(item: LeftOut) -> str:
    """Return what leaves *item* out, as the end of a sentence."""
    where = "exclude in [tool.incamera]" if item.source == EXCLUDE else item.source
    return f'"{item.pattern}" in {where}'


def describe_remedy(item: LeftOut) -> str:
    """Return what to do to have *item* in the camera."""
    if item.source == EXCLUDE:
        return f'remove "{item.pattern}" from exclude, or add {_quoted(item.path, "!")} behind it'
    return f"write exclude = [{_quoted(item.path, '!')}] in [tool.incamera]"


def describe_exclusion(path: str, *, is_built: bool = False) -> str:
    """Return how the file *path* is left out of the app. One that *is_built* may lie deeper in the project."""
    return f"leave it out: exclude = [{_quoted(path, '**/' if is_built else '')}] in [tool.incamera]"


def _quoted(path: str, mark: str) -> str:
    """Return the pattern that matches *path* and nothing else, behind *mark*, as a string in TOML."""
    return json.dumps(escape(mark, path), ensure_ascii=False)


def find_import_warnings(folder: Path, found: Found) -> list[str]:
    """Return a warning for each module that the app in *folder* imports and that is left out, up to three."""
    modules = {module: item for item in found.left_out for module in _modules_of(folder, item)}
    if not modules:
        return []
    there = {module for path in found.files if (module := _module_path(path)) is not None}
    warned: dict[LeftOut, str] = {}
    for path in [path for path in found.files if path.endswith(".py")][:_MOST_MODULES]:
        for module in _imported(folder / path, path.split("/")[:-1]):
            if module in modules and module not in there:
                item = modules[module]
                text = f"{path} imports {item.path}, which is not sent to the camera, because of"
                warned.setdefault(item, f"{text} {describe_reason(item)}: {describe_remedy(item)}")
    return list(warned.values())[:_MOST_WARNINGS]


def _modules_of(folder: Path, item: LeftOut) -> list[str]:
    if not item.path.endswith("/"):
        module = _module_path(item.path)
        return [module] if module is not None else []
    try:
        has_code = any(path.name.endswith(_CODE) for path in (folder / item.path).iterdir())
    except OSError:
        return []
    return [item.path.removesuffix("/")] if has_code else []


def _module_path(path: str) -> str | None:
    """Return `a/b` for the module `a.b` in the file *path*, None for a file that is no module."""
    if not path.endswith(_CODE):
        return None
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return folder if stem == "__init__" else f"{folder}/{stem}".lstrip("/")


def _imported(path: Path, package: Sequence[str]) -> Iterator[str]:
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
