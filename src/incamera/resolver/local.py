"""Wheels and folders of the user's own, as the only candidates of their distributions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from incamera.build.git_checkout import ensure_checkout
from incamera.build.local import UNKNOWN, require_package, store_local
from incamera.build.sdists import ensure_built_wheel
from incamera.errors import BuildError, ResolveError
from incamera.project.local import locked_path
from incamera.resolver.sources import allows_python
from incamera.wheels.metadata import parse_metadata
from incamera.wheels.page import IndexFile
from incamera.wheels.remote import read_wheel_metadata
from incamera.wheels.tags import supported_tags, wheel_rank

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.resolver.builds import BuildPlanner


def use_local_files(planner: BuildPlanner) -> None:
    """Let the wheels and folders of the project take the place of what the package indexes have of these names.

    Raises ConfigError, ResolveError for a wheel that does not fit the target, BuildError, ToolFailed for a folder that
    must be built to know its version.
    """
    for name, path in planner.project.local.items():
        planner.indexes.add_own(_local_file(planner, name, path))
    for name, source in planner.project.git.items():
        folder = require_package(ensure_checkout(planner.context, source), name, source)
        planner.indexes.add_own(_local_file(planner, name, folder, url=str(source)))


def _local_file(planner: BuildPlanner, name: str, path: Path, url: str = "") -> IndexFile:
    """Return the file of the distribution *name*, packed from *path*. *url* is that of the commit that it came from."""
    stored = store_local(planner.context, name, path)
    file = IndexFile(
        project=name,
        filename=stored.filename,
        version=stored.version or UNKNOWN,
        kind="wheel" if path.suffix == ".whl" and path.is_file() else "sdist",
        url=url,
        path="" if url else locked_path(path, planner.project.folder),
        sha256=stored.sha256,
        size=stored.size,
    )
    target = planner.target
    if file.kind == "wheel" and wheel_rank(file.filename, supported_tags(target)) is None:
        raise ResolveError(
            f"{path} does not fit {target}",
            hint=f"build a wheel for {target.architecture.facts.wheel} and Python {target.python}, "
            "or name the folder that it is built from",
        )
    if stored.version is None:
        file = _with_built_version(planner, file)
    planner.indexes.add_own(file)  # so that its metadata is not that of a release with this name
    metadata = planner.metadata(file)
    python = metadata.requires_python
    if python is not None and not allows_python(replace(file, requires_python=str(python)), planner.environment):
        raise ResolveError(
            f"{path} is for Python {python}, but {target} has Python {planner.environment['python_full_version']}",
            hint='choose another Python with python = "…" in [tool.incamera]',
        )
    return file


def _with_built_version(planner: BuildPlanner, file: IndexFile) -> IndexFile:
    """Return *file* with the version that its back end gives it."""
    wheel = ensure_built_wheel(planner.context, planner.sdist(file))
    metadata = parse_metadata(read_wheel_metadata(wheel, wheel.name), wheel.name)
    if metadata.name != file.project:
        raise BuildError(
            f"{file.path or file.url} is the package {metadata.name}, not {file.project}",
            hint="name it as it is called",
        )
    filename = file.filename.replace(f"-{UNKNOWN}.tar.gz", f"-{metadata.version}.tar.gz")
    return replace(file, version=metadata.version, filename=filename)
