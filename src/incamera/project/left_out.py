"""What .gitignore files keep out of an app, for the user: a remark, and a warning where the app imports it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.names import listing
from incamera.project.app_files import EXCLUDE
from incamera.project.gitignore import escape
from incamera.project.own_imports import find_imported

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
        for module in find_imported(folder / path, path.split("/")[:-1]):
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
