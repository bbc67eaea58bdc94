"""The wheels and sdists of a lock, downloaded, and the wheels that are built of the sdists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from incamera.build.indexes import open_indexes
from incamera.build.isolation import check_isolation
from incamera.build.keys import sdist_wheel_key
from incamera.build.logs import log_path
from incamera.build.requirements import ensure_requirement_tree, ensure_target_requirement_tree
from incamera.build.variables import sdist_variables, version_variables
from incamera.errors import BuildError, ConfigError, ToolFailed
from incamera.project.locked import build_digest
from incamera.project.recipes import load_recipes
from incamera.toolchain.build_env import normalise_requirements
from incamera.toolchain.interpreter import BuildInterpreter
from incamera.toolchain.limits import Limits, default_limits
from incamera.toolchain.options import BuildOptions
from incamera.toolchain.sdist import unpack_sdist
from incamera.toolchain.wheel_build import WheelBuild
from incamera.wheels.fetch import fetch_files, project_of
from incamera.wheels.metadata import check_metadata

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.locked import Lock, LockedBuild, LockedFile
    from incamera.project.recipes import Recipe
    from incamera.project.settings import Project
    from incamera.targets.target import Target
    from incamera.toolchain.emulated_root import EmulatedRoot


def fetch_distributions(context: Context, lock: Lock) -> Mapping[LockedFile, Path]:
    """Return the path in the store of each wheel and sdist of *lock*, downloaded if it is missing.

    Raises FetchError, IntegrityError for a file that has other metadata than the lock was made by.
    """
    files = [item.file for item in lock.distributions if item.file is not None]
    if not files:
        return {}
    with context.reporter.step("fetch") as step:
        missing = [file for file in files if context.store.find_blob(file.sha256) is None]
        step.cached = not missing
        with step.progress(sum(file.size or 0 for file in missing)) as progress:
            blobs = fetch_files(files, context.http, context.store, progress=progress, indexes=open_indexes(context))
        for file, blob in blobs.items():
            check_metadata(file, blob, context.store)
        step.note(f"{len(missing)} of {len(files)} wheels and sdists" if missing else "all in the store")
    return blobs


@dataclass(frozen=True, kw_only=True, slots=True)
class SdistBuild:
    """The sdist *file* of the distribution *name*, and how its wheel is built.

    `source`: "sdist" for a cross-built wheel, "emulated" for one built under emulation. `compiler`: "gcc" or "zig".
    `requirements`: what its build requires. `isolation`: the project's setting. `limits`: of its build.
    """

    target: Target
    name: str
    source: str
    file: LockedFile
    recipe: Recipe
    compiler: str
    requirements: LockedRequirements
    isolation: str
    limits: Limits

    @property
    def is_own(self) -> bool:
        """Whether it comes from the user, and not from a package index."""
        return self.file.is_own

    @property
    def key(self) -> str:
        build = [self.compiler, self.requirements.digest, self.variables]
        return sdist_wheel_key(self.target, self.source, self.file, self.recipe, build)

    @property
    def variables(self) -> dict[str, str]:
        """The user's variables that the build gets."""
        return sdist_variables(self.requirements.environment)

    @property
    def options(self) -> BuildOptions:
        sdist = self.recipe.sdist
        return BuildOptions(settings=sdist.settings, environment=sdist.environment, build_requires=sdist.build_requires)


def ensure_built_wheel(context: Context, sdist: SdistBuild) -> Path:
    """Return the wheel of *sdist* in the store; if it is missing, build and repair it. Raises BuildError, ToolFailed.

    <store>/logs gets a log of the build.
    """
    if found := context.store.find_tree("built-wheels", sdist.key):
        return next(found.glob("*.whl"))
    log = sdist_log_path(context, sdist)

    def build(tree: Path) -> None:
        check_isolation(context, sdist.isolation)
        why = sdist.recipe.why
        context.reporter.info(f"building {sdist.name} from its sdist" + (f": {why}" if why else ""))
        with unpacked_sdist(context, sdist) as project:
            wheel_build = WheelBuild(
                project=project,
                store=context.store,
                requirements=sdist.requirements,
                environment=find_variables(sdist, project),
                options=sdist.options,
                log=log,
                limits=sdist.limits,
            )
            if sdist.source == "emulated":
                _build_emulated(context, sdist, wheel_build, tree)
            else:
                _build_cross(context, sdist, wheel_build, tree)

    with explaining_failure(sdist, log):
        tree, _ = context.store.ensure_tree("built-wheels", sdist.key, build)
    return next(tree.glob("*.whl"))


@contextmanager
def unpacked_sdist(context: Context, sdist: SdistBuild, *, only_top: bool = False) -> Iterator[Path]:
    """Yield a temporary folder with the files of *sdist*, as its recipe wants them. Raises FetchError, BuildError.

    *only_top* is as in `unpack_sdist`; where the recipe edits files, all are there.
    """
    archive = fetch_files([sdist.file], context.http, context.store)[sdist.file]
    check_metadata(sdist.file, archive, context.store)
    with context.store.temporary() as folder:
        with context.store.reading_blob(archive, name=sdist.file.filename):
            project = unpack_sdist(archive, folder / "source", only_top=only_top and not sdist.recipe.sdist.edits)
        _apply_edits(project, sdist.recipe)
        yield project


def find_variables(sdist: SdistBuild, project: Path) -> dict[str, str]:
    """Return the variables for the build of *sdist*, which is unpacked in the folder *project*."""
    if (project / "PKG-INFO").exists():
        return sdist.variables
    # It was not made by a back end: an archive of a repository, whose version git would tell.
    version = sdist.file.filename.rpartition("-")[2].removesuffix(".tar.gz").removesuffix(".zip")
    return version_variables(version) | sdist.variables


class LockedRequirements:
    """Installs what *builds*, of a lock of *project*, say that the build of *sdist* requires (empty: of the project).

    *builds* may grow until they are needed.
    """

    def __init__(self, context: Context, project: Project, builds: Sequence[LockedBuild], sdist: str) -> None:
        self._context = context
        self._project = project
        self._builds = builds
        self._sdist = sdist

    @property
    def environment(self) -> Mapping[str, str]:
        """The user's environment."""
        return self._context.environment

    @property
    def digest(self) -> str:
        """A digest of all files."""
        return build_digest(self._builds, self._sdist)

    @property
    def ask_back_end(self) -> bool:
        # An sdist never changes, but the project may.
        return not self._sdist

    def install(self, requirements: Sequence[str], place: BuildInterpreter | EmulatedRoot) -> Path:
        """Return a tree with what is locked. Raises ConfigError when *requirements* asks for more."""
        build = next((build for build in self._builds if build.sdist == self._sdist), None)
        if build is None:
            raise ConfigError(
                "the lockfile does not say what the project's build requires", hint="renew it with `incamera lock`"
            )
        missing = [text for text in normalise_requirements(requirements) if text not in build.requires]
        if missing:
            raise ConfigError(
                f"the build of {build.name} requires {', '.join(missing)}, which the lockfile does not have",
                hint="renew it with `incamera lock`",
            )
        wheels = [file for file in build.files if file.is_wheel]
        if isinstance(place, BuildInterpreter):
            return ensure_requirement_tree(self._context, place, wheels)
        sdists = [file for file in build.files if not file.is_wheel]
        built = {file.sha256: self._build(file, place.target) for file in sdists}
        return ensure_target_requirement_tree(self._context, place, wheels, built)

    def _build(self, file: LockedFile, target: Target) -> Path:
        project = self._project
        name = canonicalize_name(project_of(file.filename))
        sdist = SdistBuild(
            target=target,
            name=name,
            source="emulated",
            file=file,
            recipe=load_recipes(target.architecture, project.recipes).find(name),
            compiler=project.compiler,
            requirements=LockedRequirements(self._context, project, self._builds, file.sha256),
            isolation=project.build_isolation,
            limits=default_limits(project.build_limits),
        )
        return ensure_built_wheel(self._context, sdist)


def _apply_edits(project: Path, recipe: Recipe) -> None:
    for edit in recipe.sdist.edits:
        path = project / edit.file
        text = path.read_text("utf-8", "surrogateescape") if path.is_file() else ""
        if text.count(edit.old) != 1:
            raise BuildError(
                f"the recipe for {recipe.name} does not fit {project.name}: {edit.file} has {edit.old!r} "
                f"{text.count(edit.old)} times, not once",
                hint=f"add the versions that the edit fits to versions in [sdist] of the recipe for {recipe.name}",
            )
        path.write_text(text.replace(edit.old, edit.new), "utf-8", "surrogateescape")


def _build_cross(context: Context, sdist: SdistBuild, wheel_build: WheelBuild, tree: Path) -> None:
    """Cross-build the wheel, add the libraries that it needs, and put it into *tree*."""
    from incamera.build.camera_sdk import NO_USE, find_camera_use  # lazy: most builds find the wheel in the store
    from incamera.build.toolchain import ensure_toolchain
    from incamera.elf import read_elf
    from incamera.elf.debug import DEBUG_FOLDER
    from incamera.toolchain.pep517 import build_wheel
    from incamera.toolchain.plan import Compiler
    from incamera.wheels.repair import repair_wheel

    recipe, compiler = sdist.recipe, Compiler.parse(sdist.compiler)
    camera = find_camera_use(wheel_build.project) if sdist.is_own else NO_USE
    toolchain = ensure_toolchain(context, sdist.target, compiler, dev=recipe.sdist.dev, camera=camera)
    with context.reporter.step("build") as step, context.store.temporary() as scratch:
        libraries = scratch / "libraries"
        libraries.mkdir()
        built = build_wheel(wheel_build, toolchain, scratch, libraries=libraries)
        host = toolchain.interpreter.tree
        repaired = repair_wheel(
            built,
            tree,
            sdist.target,
            private={read_elf(path).soname or path.name: path for path in sorted(libraries.iterdir())},
            provided=lambda _: True,  # the wheel was linked with the sysroot, whose libraries the bundle has, too
            patchelf=host.argv(host.root / "usr/bin/patchelf"),
            drop=recipe.sdist.drop,
        )
        if (scratch / DEBUG_FOLDER).exists():
            (scratch / DEBUG_FOLDER).replace(tree / DEBUG_FOLDER)
        step.note(repaired.name)


def _build_emulated(context: Context, sdist: SdistBuild, wheel_build: WheelBuild, tree: Path) -> None:
    """Build the wheel under emulation, and put it into *tree*."""
    from incamera.build.emulation import (  # lazy: most locks and builds find the wheel
        ensure_emulated_root,
        warn_of_emulation,
    )
    from incamera.toolchain.emulation import build_wheel_emulated

    warn_of_emulation(context, sdist.recipe.name, wheel_build.project, sdist.target)
    root = ensure_emulated_root(context, sdist.target, dev=sdist.recipe.sdist.dev)
    with context.reporter.step("build") as step:
        wheel = build_wheel_emulated(wheel_build, root, tree)
        step.note(f"{wheel.name}, under emulation")


def sdist_log_path(context: Context, sdist: SdistBuild) -> Path:
    """Return the path of the log of builds of *sdist*."""
    return log_path(context, sdist.name, sdist.target, sdist.file.sha256)


@contextmanager
def explaining_failure(sdist: SdistBuild, log: Path) -> Iterator[None]:
    """Say what can be done when the build of *sdist*, whose output is in *log*, fails."""
    try:
        yield
    except ToolFailed as failure:
        hint = f"{log} has the whole output; "
        if failure.hint is not None:
            hint += failure.hint
        elif missing := _find_missing_library(failure.tail):
            hint += f"name the Debian package that has {missing} as dev in a recipe: see docs/how-to/no-armv7-wheel.md"
        elif sdist.source == "sdist":
            hint += f'to build it under emulation, which takes long: [tool.incamera.sources] {sdist.name} = "emulated"'
        else:
            hint += f'choose another version, or another source: [tool.incamera.sources] {sdist.name} = "deb"'
        message = f"{sdist.name} cannot be built for {sdist.target}: {failure}"
        raise ToolFailed(message, hint=hint, tail=failure.tail) from failure


def _find_missing_library(output: str) -> str | None:
    """Return the header or library that a compiler's *output* says is missing."""
    if header := re.search(r"fatal error: '?([^\s:']+)(?:: No such file or directory|' file not found)", output):
        return header[1]
    library = re.search(r"cannot find -l(\S+?):? ", f"{output} ")
    return f"lib{library[1]}" if library else None
