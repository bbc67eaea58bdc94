"""Which of the app's files in a bundle are not valid Python: those that the target's Python could not compile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.errors import SourceError
from incamera.names import listing
from incamera.project.left_out import describe_exclusion
from incamera.project.own_imports import find_reached
from incamera.project.syntax import Fault, describe_fault, find_fault

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from incamera.project.entry import Entry
    from incamera.project.settings import Project

_APP = "app/"


def check_sources(
    project: Project,
    paths: Collection[str],
    bundle: Path,
    python: str,
    *,
    outcome: str = "nothing was sent to the camera",
) -> None:
    """Raises SourceError when a file that the entry needs is not valid Python *python*.

    *paths* are the files of the folder *bundle*. The error says that, and the *outcome*.
    """
    invalid = _find_invalid(paths, python)
    entry = project.chosen or project.entry
    if not invalid or entry is None:
        return
    reached = [path for path in _find_reached(paths, bundle, entry) if path in invalid]
    if not reached:
        return
    path = reached[0]
    copy, own = bundle / _APP / path, project.folder / path
    data = copy.read_bytes()
    if not own.is_file() and (project.folder / "src" / path).is_file():
        own = project.folder / "src" / path
    fault = find_fault(data, python) or Fault(message=f"SyntaxError: Python {python}, which the target has, refuses it")
    more = f" ({', '.join(reached[1:])}: likewise)" if len(reached) > 1 else ""
    raise SourceError(describe_fault(fault, path, own if own.is_file() else copy, outcome + more))


def describe_invalid(project: Project, paths: Collection[str], bundle: Path, python: str) -> str | None:
    """Return a warning of the files that are not valid Python and that the entry does not need; None without one."""
    invalid = _find_invalid(paths, python)
    entry = project.chosen or project.entry
    if invalid and entry is not None:
        invalid = [path for path in invalid if path not in set(_find_reached(paths, bundle, entry))]
    if not invalid:
        return None
    text = listing(f"not valid Python {python}, so that nothing can import it", invalid)
    if project.script is not None:
        return text
    return f"{text}; {describe_exclusion(invalid[0], is_built=project.has_build_system)}"


def _find_invalid(paths: Collection[str], python: str) -> list[str]:
    """Return the app's files without byte-code, relative to its folder: the byte compiler leaves out what it cannot."""
    known = set(paths)
    tag = python.replace(".", "")
    found = []
    for path in paths:
        if path.startswith(_APP) and path.endswith(".py"):
            folder, _, name = path.rpartition("/")
            if f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-{tag}.pyc" not in known:
                found.append(path.removeprefix(_APP))
    return sorted(found)


def _find_reached(paths: Collection[str], bundle: Path, entry: Entry) -> list[str]:
    files = {path.removeprefix(_APP) for path in paths if path.startswith(_APP) and path.endswith(".py")}
    if entry.file is not None:
        starts = [entry.file]
    else:
        parts = str(entry.module).split(".")
        packages = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        starts = [f"{package}/__init__.py" for package in packages]
        starts += [f"{packages[-1]}.py", *([f"{packages[-1]}/__main__.py"] if entry.function is None else [])]
    return find_reached(bundle / _APP, files, starts)
