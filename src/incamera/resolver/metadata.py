"""The metadata of a release, for the resolver: from a wheel, from the sdist, or from a wheel built from the sdist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from incamera.build.sdists import ensure_built_wheel
from incamera.toolchain.build_system import load_build_system
from incamera.toolchain.rust import refuse_rust
from incamera.toolchain.sdist import unpack_sdist
from incamera.wheels.fetch import fetch_files
from incamera.wheels.metadata import fetch_sdist_metadata, fetch_wheel_metadata, parse_metadata
from incamera.wheels.remote import read_wheel_metadata

if TYPE_CHECKING:
    from incamera.build.sdists import SdistBuild
    from incamera.context import Context
    from incamera.project.recipes import Recipe
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile


def require_metadata(
    context: Context,
    indexes: PackageIndexes,
    file: IndexFile,
    recipe: Recipe,
    *,
    requires: Callable[[], Sequence[str]],
    plan: Callable[[], SdistBuild],
) -> Metadata:
    """Return the metadata of *file*, a wheel or an sdist.

    For an sdist, *requires* returns what its pyproject.toml says that its build requires; if it must be built to know
    the metadata, *plan* says how.

    Raises BuildError when they are malformed or the sdist cannot be built, FetchError when they cannot be fetched.
    """
    if file.kind == "wheel":
        return fetch_wheel_metadata(file, context.http, context.store)
    if not recipe.sdist.versions:  # no recipe says that it can be built
        refuse_rust(requires(), package=f"{file.project} {file.version}")
    # Nearly all wheels of a release have the same metadata, so a wheel for another machine serves, too.
    for other in indexes.find(file.project, version=file.version):
        if other.kind == "wheel":
            return fetch_wheel_metadata(other, context.http, context.store)
    static = fetch_sdist_metadata(file, context.http, context.store)
    return static if static is not None else _built_metadata(context, plan())


def read_requires(context: Context, file: IndexFile) -> tuple[str, ...]:
    """Return what the pyproject.toml of the sdist *file* says that its build requires. It is downloaded for that."""
    blob = fetch_files([file], context.http, context.store)[file]
    with context.store.temporary() as folder:
        with context.store.reading_blob(blob, name=file.filename):
            project = unpack_sdist(blob, folder, only_top=True)
        return load_build_system(project).requires


def _built_metadata(context: Context, sdist: SdistBuild) -> Metadata:
    """Return the metadata of the wheel built from *sdist*; the wheel is kept in the store."""
    wheel = ensure_built_wheel(context, sdist)
    return parse_metadata(read_wheel_metadata(wheel, wheel.name), wheel.name)
