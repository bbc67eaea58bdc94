"""What the app of a folder needs, where no pyproject.toml says so: its requirements file, and what its code imports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from incamera.project.adoption.entry import imported_modules, top_modules
from incamera.project.import_names import known_distribution

REQUIREMENTS = ("requirements.in", "requirements.txt")
# Pip's under other names, Pipenv's, conda's, pixi's.
_LISTS = (
    "*requirements*.txt",
    "*requirements*.in",
    "requirements/*.txt",
    "requirements/*.in",
    "Pipfile",
    "environment*.y*ml",
    "conda*.y*ml",
    "pixi.toml",
)


def find_requirements_file(folder: Path) -> Path | None:
    """Return the requirements file of *folder*, or of the repository whose top *folder* lies in; None without one.

    A requirements.in goes first: the requirements.txt beside it pins what fits another computer.
    """
    parent = folder.parent
    is_project = any((parent / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg"))
    above = [parent] if (parent / ".git").exists() and not is_project else []
    paths = [place / name for place in (folder, *above) for name in REQUIREMENTS]
    return next((path for path in paths if path.is_file()), None)


def find_unread_above(folder: Path) -> Path | None:
    """Return the requirements file of the folder above *folder*, which may be of another project; None without one."""
    return next((path for name in REQUIREMENTS if (path := folder.parent / name).is_file()), None)


def unread_lists(folder: Path, read: Collection[Path]) -> list[str]:
    """Return the paths in *folder* of files that list dependencies, other than those that were *read*, resolved."""
    found = {path for pattern in _LISTS for path in folder.glob(pattern) if path.is_file()}
    if (folder / "requirements.in").resolve() in read:
        found.discard(folder / "requirements.txt")  # made from it
    return sorted(path.relative_to(folder).as_posix() for path in found if path.resolve() not in read)


def find_imported(folder: Path, dependencies: Sequence[str]) -> tuple[Mapping[str, str], list[str]]:
    """Return what the code in *folder* imports and *dependencies* lack.

    First the distributions whose names are certain, each with its module; then the other modules.
    """
    files = [path for path in folder.glob("*.py") if path.stem in top_modules(folder)]
    files += [path for path in folder.glob("*/*.py") if (path.parent / "__init__.py").is_file()]
    named = {canonicalize_name(Requirement(text).name) for text in dependencies}
    local = {"incamera_agent", *(path.stem for path in folder.glob("*.py")), *(path.name for path in folder.iterdir())}
    setup = folder / "setup.py"
    built = setup.read_text("utf-8", "replace") if setup.is_file() else ""  # names the extension modules
    added: dict[str, str] = {}
    unknown = []
    for module in imported_modules(files):
        if module in local or f'"{module}' in built or f"'{module}" in built:
            continue
        name = known_distribution(module)
        if canonicalize_name(name or module) in named:
            continue
        if name is not None:
            added[name] = module
        else:
            unknown.append(module)
    return dict(sorted(added.items())), unknown
