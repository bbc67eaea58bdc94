"""Check that what is to be run exists, by reading files: nothing is imported, and nothing need be built.

What only a build can tell, such as a module of a package that the project depends on, is left to `check_in_bundle`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from incamera.errors import ConfigError, SourceError
from incamera.names import closest, did_you_mean, listing
from incamera.project.files import is_left_out
from incamera.project.left_out import describe_reason, describe_remedy
from incamera.project.syntax import describe_fault, find_fault

if TYPE_CHECKING:
    from incamera.project.entry import Entry
    from incamera.project.settings import Project

# Packages of a flat layout that setuptools leaves out.
_NOT_PACKAGED = frozenset(
    (
        *("ci", "bin", "doc", "docs", "documentation", "manpages", "news", "newsfragments", "changelog", "test"),
        *("tests", "unit_test", "unit_tests", "example", "examples", "scripts", "tools", "util", "utils", "python"),
        *("build", "benchmark", "benchmarks", "exercise", "exercises", "htmlcov", "tasks", "fabfile", "site_scons"),
    )
)
# In front of a module's path in a bundle: the app's folder, the standard library's, and those of packages.
_ROOTS = r"^(?:app/|lib/python3(?:\.\d+)?/(?:(?:site|dist)-packages/)?)"


def checked_entry(project: Project, *, key: str | None = None) -> Entry:
    """Return what `incamera run` starts in *project*. Raises ConfigError when there is none, or it cannot start.

    *key* is where the entry is written, for messages, if not where a project has it.
    """
    _find_checked(project, key)
    return project.require_entry()


def check_entry_syntax(project: Project, pythons: Collection[str]) -> None:
    """Check the entry as `checked_entry` does.

    Raises SourceError, too, when its file is valid Python in none of *pythons*.
    """
    source = _find_checked(project)
    if source is None or source.suffix != ".py":
        return
    try:
        data = source.read_bytes()
    except OSError:  # what reads the app's files says it
        return
    faults = [find_fault(data, python) for python in sorted(pythons)]
    if faults[-1] is not None and None not in faults:
        name = source.relative_to(project.folder).as_posix()
        raise SourceError(describe_fault(faults[-1], name, source, "nothing was sent to the camera"))


def _find_checked(project: Project, key: str | None = None) -> Path | None:
    """Return the source of the entry, None where only the bundle can tell. Raises ConfigError as `checked_entry`."""
    entry = project.require_entry()
    key = key or ("tool.incamera.entry" if project.chosen is None else "incamera run")
    if entry.file is not None:
        _check_file(project, entry.file, key)
        return project.folder / entry.file
    if (source := _find_source(project, entry, key)) is not None:
        _check_function(source, entry, key)
    return source


def check_declared_entry(project: Project) -> None:
    """Raises ConfigError when the project names an entry that cannot start. One without an entry may be a library."""
    if project.entry is not None:
        checked_entry(project)


def check_in_bundle(project: Project, paths: Collection[str], bundle: Path) -> None:
    """Raises ConfigError when the module to start is not among *paths*, the files of the folder *bundle*."""
    entry = project.chosen or project.entry
    if entry is None or entry.module is None:
        return
    key = "tool.incamera.entry" if project.chosen is None else "incamera run"
    module = entry.module.replace(".", "/")
    by_name = {re.sub(_ROOTS, "", path): path for path in paths}
    package = next((f"{module}/__init__{end}" for end in (".py", ".pyc") if f"{module}/__init__{end}" in by_name), None)
    found = next((name for name in (f"{module}.py", f"{module}.pyc") if name in by_name), package)
    if found is None:
        built = any(name.startswith((f"{module}.", f"{module}/")) for name in by_name)
        if built and entry.function is not None:
            return  # a compiled module, whose names cannot be read
        own = sorted({_module_of(path.removeprefix("app/")) for path in paths if path.startswith("app/")} - {""})
        wheel = " of the wheel" if project.has_build_system else ""
        raise ConfigError(
            f'{key}: there is no module "{entry.module}" in what is sent to the camera',
            hint=did_you_mean(entry.module, own) or listing(f"modules{wheel}", own),
        )
    if entry.function is None and found == package:
        if not any(f"{module}/__main__{end}" in by_name for end in (".py", ".pyc")):
            raise _without_main(key, entry.module, [])
        return
    if found.endswith(".py") and entry.function is not None:
        _check_function(bundle / by_name[found], entry, key)


def _check_file(project: Project, file: str, key: str) -> None:
    path = project.folder / file
    if path.is_dir():
        main = " with `-m`" if (path / "__main__.py").is_file() else ""
        raise ConfigError(f'{key}: "{file}" is a folder', hint=f"name the file to run, or a package{main}")
    if not path.is_file():
        files = [item.relative_to(project.folder).as_posix() for item in path.parent.glob("*.py") if item.is_file()]
        own = sorted(item.name for item in project.folder.glob("*.py") if item.is_file())
        raise ConfigError(
            f'{key}: there is no file "{file}"',
            hint=did_you_mean(file, dict.fromkeys([*files, *own])) or listing("Python files", own),
        )
    if project.script is None and any(is_left_out(part) for part in Path(file).parts):
        raise ConfigError(
            f'{key}: "{file}" is not sent to the camera: files and folders of such names do not belong to the app',
            hint="move it: what is left out are names that begin with a dot, and build, dist, venv and the like",
        )


def _find_source(project: Project, entry: Entry, key: str) -> Path | None:
    """Return the source of the entry's module; None where only the bundle can tell. Raises ConfigError for none."""
    module = str(entry.module)
    parts = module.split(".")
    roots = _roots(project)
    root = next((root for root in roots if _top_exists(root, parts[0]) and _is_taken(project, root, parts[0])), None)
    if root is None:
        _check_top(project, module, roots, key)
        return None
    path = root.joinpath(*parts)
    if not project.has_build_system and project.script is None:
        _check_sent(project, parts, key)
    if path.with_name(f"{parts[-1]}.py").is_file():
        return path.with_name(f"{parts[-1]}.py")
    if path.is_dir():
        if entry.function is not None:
            return path / "__init__.py" if (path / "__init__.py").is_file() else None
        if not any(path.glob("__main__.*")):
            raise _without_main(key, module, _runnable(path, module))
        return None
    known = list(_modules(root))
    if project.has_build_system and not closest(module, known):
        return None  # its build may make it
    if any(path.parent.glob(f"{parts[-1]}.*")):
        return None
    raise ConfigError(
        f'{key}: there is no module "{module}"',
        hint=did_you_mean(module, known) or listing("modules", known),
    )


def _check_sent(project: Project, parts: list[str], key: str) -> None:
    """Raises ConfigError when .gitignore or `exclude` leaves the module *parts* of the project out."""
    files, module = project.app_files(), "/".join(parts)
    for path in (f"{module}.py", f"{module}/__init__.py", f"{module}/__main__.py"):
        if (project.folder / path).is_file() and (item := files.explain(path)) is not None:
            raise ConfigError(
                f"{key}: {path} is not sent to the camera, because of {describe_reason(item)}",
                hint=describe_remedy(item),
            )


def _check_top(project: Project, module: str, roots: list[Path], key: str) -> None:
    """Raises ConfigError when the first part of *module* is neither the project's nor a package's that it may have."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return
    if project.has_build_system and _top_exists(project.folder, top):
        raise ConfigError(
            f'{key}: the wheel of the project will not have the module "{module}"',
            hint=listing("modules of the wheel", [name for root in roots for name in _modules(root)]),
        )
    known = [name for root in roots for name in _modules(root)]
    named = {re.sub(r"[-_.]+", "_", Requirement(text).name).lower() for text in project.dependencies}
    depends = bool(project.dependencies or project.debs or project.has_dynamic_dependencies)
    hint = did_you_mean(module, known)
    if top.lower() not in named and (hint or not depends) and not (project.has_build_system and not hint):
        raise ConfigError(f'{key}: there is no module "{module}"', hint=hint or listing("modules", known))


def _roots(project: Project) -> list[Path]:
    """Return the folders in which the project's own modules lie."""
    folder = project.folder
    if not project.has_build_system or not (folder / "src").is_dir():
        return [folder]
    # Without settings for it, every back end takes the packages of src/ and no others.
    return [folder / "src"] if _is_plain_layout(folder) else [folder / "src", folder]


def _is_plain_layout(folder: Path) -> bool:
    """Whether nothing in *folder* tells a build back end where modules lie."""
    if any((folder / name).is_file() for name in ("setup.py", "setup.cfg", "meson.build", "CMakeLists.txt")):
        return False
    try:
        tools = tomllib.loads((folder / "pyproject.toml").read_text("utf-8")).get("tool", {})
    except (OSError, ValueError, RecursionError):
        return False
    backends = ("setuptools", "hatch", "poetry", "flit", "pdm", "uv", "maturin", "scikit-build", "meson-python")
    configured = {name: table for name, table in tools.items() if name in backends}
    settings = ("packages", "package-dir", "py-modules", "build", "build-backend", "module", "wheel", "python-source")
    return not any(isinstance(table, dict) and set(table) & set(settings) for table in configured.values())


def _is_taken(project: Project, root: Path, name: str) -> bool:
    """Whether the project's back end may put the package *name* of *root* into the wheel."""
    if not project.has_build_system or root != project.folder or name not in _NOT_PACKAGED:
        return True
    return name == project.name.replace("-", "_") or not _is_plain_layout(project.folder)


def _top_exists(root: Path, name: str) -> bool:
    return (root / name).is_dir() or any(root.glob(f"{name}.*"))


def _modules(root: Path) -> Iterator[str]:
    """Yield the names of the modules below *root* that can be started, or have functions that can be."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        names = [part.removesuffix(".py") for part in parts]
        if all(name.isidentifier() for name in names) and not any(map(is_left_out, parts)):
            yield _module_of("/".join(parts))


def _module_of(path: str) -> str:
    """Return the name of the module in the file *path*: that of its folder for `__init__.py` and `__main__.py`."""
    if not path.endswith((".py", ".pyc")) or "__pycache__/" in path:
        return ""
    parts = path.rpartition(".")[0].split("/")
    return ".".join(parts[:-1] if parts[-1] in ("__init__", "__main__") else parts)


def _without_main(key: str, module: str, runnable: list[str]) -> ConfigError:
    others = f'"{runnable[0]}", or ' if runnable else ""
    return ConfigError(
        f'{key}: "{module}" has no __main__.py, so `python -m {module}` cannot run it',
        hint=f'name {others}a function, as "{module}:main", or add {module.replace(".", "/")}/__main__.py',
    )


def _runnable(package: Path, module: str) -> list[str]:
    from incamera.project.definitions import is_runnable  # lazy: only an error needs it

    return [f"{module}.{path.stem}" for path in sorted(package.glob("*.py")) if is_runnable(path)]


def _check_function(source: Path, entry: Entry, key: str) -> None:
    if entry.function is not None:
        from incamera.project.definitions import check_function  # lazy: parsing takes time, and most entries are files

        check_function(source, str(entry.module), entry.function, key)
