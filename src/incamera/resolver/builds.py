"""Chooses what the builds of a lock require: of the sdists that are built, and of the project itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from incamera.build.isolation import check_isolation
from incamera.build.logs import naming_log, project_log_path
from incamera.build.sdists import (
    LockedRequirements,
    SdistBuild,
    explaining_failure,
    find_variables,
    sdist_log_path,
    unpacked_sdist,
)
from incamera.build.variables import project_variables
from incamera.errors import BuildError
from incamera.project.files import files_digest, project_files
from incamera.project.locked import LockedBuild, LockedFile
from incamera.project.settings import BUILTIN_SDK
from incamera.resolver.build_answers import Answers
from incamera.resolver.build_finder import BuildFinder
from incamera.resolver.candidates import locked_file
from incamera.resolver.metadata import read_requires, require_metadata
from incamera.resolver.solve import resolve_requirements
from incamera.targets.host import require_host
from incamera.toolchain.build_env import normalise_requirements
from incamera.toolchain.build_system import known_additions, load_build_system
from incamera.toolchain.limits import default_limits
from incamera.toolchain.options import BuildOptions
from incamera.toolchain.wheel_build import WheelBuild
from incamera.wheels.fetch import project_of
from incamera.wheels.metadata import fetch_wheel_metadata
from incamera.wheels.page import parse_version
from incamera.wheels.tags import supported_tags, tags_for

if TYPE_CHECKING:
    from packaging.version import Version

    from incamera.context import Context
    from incamera.project.recipes import Recipes
    from incamera.project.settings import Project
    from incamera.resolver.candidates import Candidate
    from incamera.targets.target import Target
    from incamera.toolchain.emulated_root import EmulatedRoot
    from incamera.toolchain.interpreter import BuildInterpreter
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile


@dataclass(frozen=True, kw_only=True, slots=True)
class _Subject:
    """What is built: *name* for messages, *sdist* as in `LockedBuild`, and how it is built.

    *content* is a digest of its files. *folder* returns where they are; an sdist is unpacked then, which takes long for
    a large one. *top* returns a folder that has at least those that lie in no folder. *variables* are the user's,
    *environment* returns all that the build gets. *own*: it comes from the user, and not from a package index.
    """

    name: str
    sdist: str
    content: str
    folder: Callable[[], Path]
    top: Callable[[], Path]
    options: BuildOptions
    source: str
    variables: Mapping[str, str]
    environment: Callable[[], dict[str, str]]
    dev: tuple[str, ...] = ()
    log: Path | None = None
    own: bool = False


class BuildPlanner:
    """Plans the builds of a lock of *project* for *target*; `builds` has those that are planned.

    *environment* has the target's values of PEP 508's variables. The versions of *earlier* builds are kept where they
    still fit.
    """

    def __init__(
        self,
        context: Context,
        project: Project,
        target: Target,
        indexes: PackageIndexes,
        recipes: Recipes,
        *,
        environment: Mapping[str, str],
    ) -> None:
        self.context = context
        self.project = project
        self.target = target
        self.indexes = indexes
        self.recipes = recipes
        self.environment = environment
        self.earlier: Sequence[LockedBuild] = ()
        self.builds: list[LockedBuild] = []
        # By the emulated root; None: for the build interpreter.
        self.known: dict[Path | None, dict[str, list[Candidate]]] = {}
        self._answers = Answers(context.store)
        self._planning: set[str] = set()

    def metadata(self, file: IndexFile, source: str | None = None) -> Metadata:
        """Return the metadata of *file*, a wheel or an sdist. *source* as in `sdist`. Raises BuildError, FetchError."""
        recipe = self.recipes.find(file.project)
        return require_metadata(
            self.context,
            self.indexes,
            file,
            recipe,
            # Unpacking a large sdist takes long.
            requires=lambda: self._answers.once(["written", file.sha256], lambda: read_requires(self.context, file)),
            plan=lambda: self.sdist(file, source),
        )

    def sdist(self, file: IndexFile, source: str | None = None) -> SdistBuild:
        """Return how the sdist *file* is built, with what that requires chosen.

        *source* is "sdist" or "emulated"; None: as the project wants it, else as the recipe says. Raises BuildError,
        ResolveError.
        """
        recipe = self.recipes.find(file.project)
        if source is None:
            by_recipe = "emulated" if recipe.sdist.builder == "emulated" else "sdist"
            source = self.project.sources.get(file.project, by_recipe)
        build = SdistBuild(
            target=self.target,
            name=file.project,
            source=source,
            file=locked_file(file),
            recipe=recipe,
            compiler=self.project.compiler,
            requirements=LockedRequirements(self.context, self.project, self.builds, file.sha256),
            isolation=self.project.build_isolation,
            limits=default_limits(self.project.build_limits),
        )
        if not any(planned.sdist == file.sha256 for planned in self.builds):
            if file.sha256 in self._planning:
                raise BuildError(f"the build of {file.project} requires {file.project} to be built first")
            self._planning.add(file.sha256)
            try:
                self._plan_sdist(build)
            finally:
                self._planning.discard(file.sha256)
        return build

    def _plan_sdist(self, build: SdistBuild) -> None:
        log = sdist_log_path(self.context, build)
        with explaining_failure(build, log), ExitStack() as stack:

            @cache
            def folder() -> Path:
                return stack.enter_context(unpacked_sdist(self.context, build))

            @cache
            def top() -> Path:
                return stack.enter_context(unpacked_sdist(self.context, build, only_top=True))

            self._plan(
                _Subject(
                    name=build.name,
                    sdist=build.file.sha256,
                    content=f"{build.file.sha256} {build.recipe.build_digest}",  # which edits files and has settings
                    folder=folder,
                    top=top,
                    options=build.options,
                    source=build.source,
                    variables=build.variables,
                    environment=lambda: find_variables(build, top()),
                    dev=build.recipe.sdist.dev,
                    log=log,
                    own=build.is_own,
                )
            )

    def plan_project(self) -> None:
        """Choose what the build of the project requires."""
        folder = self.project.folder
        variables = project_variables(self.context.environment)
        log = project_log_path(self.context, self.project, self.target)
        with naming_log(log):
            self._plan(
                _Subject(
                    name=self.project.name,
                    sdist="",
                    content=files_digest(folder, project_files(folder)),
                    folder=lambda: folder,
                    top=lambda: folder,
                    options=BuildOptions(),
                    source="sdist",
                    variables=variables,
                    environment=lambda: variables,
                    log=log,
                    own=True,
                )
            )

    def needed(self, sdists: Iterable[str]) -> tuple[LockedBuild, ...]:
        """Return the builds of *sdists*, of the project, and of what these require, sorted by name."""
        known = {build.sdist: build for build in self.builds}
        queue, found = ["", *sdists], {}
        while queue:
            build = known.get(queue.pop())
            if build is not None and build.sdist not in found:
                found[build.sdist] = build
                queue += [file.sha256 for file in build.files]
        return tuple(sorted(found.values(), key=lambda build: (build.name, build.sdist)))

    def _plan(self, subject: _Subject) -> None:
        """Add the build of *subject*."""
        chooser = Chooser(self, subject.name, subject.sdist)
        root = None
        if subject.source == "emulated":
            from incamera.build.emulation import ensure_emulated_root  # lazy: few builds are emulated

            root = ensure_emulated_root(self.context, self.target, dev=subject.dev)
        if subject.options.build_requires is not None:  # a recipe's list is complete
            named = wanted = subject.options.build_requires
            files = chooser.choose(named, root)
        else:
            named = self._answers.once(["named", subject.content], lambda: load_build_system(subject.top()).requires)
            files = chooser.choose(named, root)
            # What the back end adds may depend on its version.
            inputs = [subject.content, str(self.target), self.project.compiler, subject.source]
            more: list[object] = [sorted(subject.variables.items()), [file.sha256 for file in files]]
            if not subject.sdist and self.project.sdk != BUILTIN_SDK:
                more.append(self.project.sdk)
            wanted = self._answers.once([*inputs, *more], lambda: self._ask(subject, chooser, root, files))
            if set(wanted) != set(named):
                files = chooser.choose(wanted, root)
        self.builds.append(
            LockedBuild(
                name=subject.name, sdist=subject.sdist, requires=normalise_requirements(wanted), files=tuple(files)
            )
        )

    def _ask(
        self, subject: _Subject, chooser: Chooser, root: EmulatedRoot | None, files: Sequence[LockedFile]
    ) -> tuple[str, ...]:
        """Return what *subject* requires, with what its back end adds. It gets *files*."""
        context, system = self.context, load_build_system(subject.top())
        variables = {*subject.environment(), *subject.options.environment}
        added = known_additions(system, subject.top(), _setuptools(files), variables)
        # The project's own back end is asked again by its build, and must not name what the lock has not. An emulated
        # build finds other programs.
        if added == () or (added is not None and subject.sdist and root is None):
            return (*system.requires, *added)
        check_isolation(context, self.project.build_isolation)
        build = WheelBuild(
            project=subject.folder(),
            store=context.store,
            requirements=chooser,
            environment=subject.environment(),
            options=subject.options,
            log=subject.log,
            limits=default_limits(self.project.build_limits),
        )
        if root is not None:
            from incamera.toolchain.emulation import find_requirements_emulated  # lazy: the answer is mostly known

            return find_requirements_emulated(build, root)
        from incamera.build.camera_sdk import NO_USE, find_camera_use, find_project_use  # lazy: mostly known
        from incamera.build.toolchain import ensure_toolchain
        from incamera.toolchain.pep517 import find_requirements
        from incamera.toolchain.plan import Compiler

        compiler = Compiler.parse(self.project.compiler)
        if not subject.sdist:
            camera = find_project_use(context, self.project, self.target)
        else:
            camera = find_camera_use(build.project) if subject.own else NO_USE
        toolchain = ensure_toolchain(context, self.target, compiler, dev=subject.dev, camera=camera)
        return find_requirements(build, toolchain)


class Chooser:
    """Chooses what one build requires from the package indexes, and installs it."""

    def __init__(self, planner: BuildPlanner, name: str, sdist: str) -> None:
        self._planner = planner
        self._name = name
        self._sdist = sdist

    @property
    def ask_back_end(self) -> bool:
        return True

    def install(self, requirements: Sequence[str], place: BuildInterpreter | EmulatedRoot) -> Path:
        """Return a tree with the newest versions that fit. Raises ConfigError, ResolveError, FetchError, ToolFailed."""
        from incamera.toolchain.emulated_root import EmulatedRoot  # lazy: a warm lock installs nothing

        planner = self._planner
        files = self.choose(requirements, place if isinstance(place, EmulatedRoot) else None)
        build = LockedBuild(
            name=self._name, sdist=self._sdist, requires=normalise_requirements(requirements), files=tuple(files)
        )
        builds = [build, *(other for other in planner.builds if other.sdist != self._sdist)]
        locked = LockedRequirements(planner.context, planner.project, builds, self._sdist)
        return locked.install(requirements, place)

    def choose(self, requirements: Sequence[str], root: EmulatedRoot | None) -> list[LockedFile]:
        """Return the files that satisfy *requirements* in the emulated *root*, or else for the build interpreter."""
        resolved = resolve_requirements(requirements, (), self._finder(root))
        candidates = [item.candidate for item in resolved if item.candidate.file is not None]
        for candidate in candidates:
            if candidate.source == "emulated" and candidate.file is not None:
                self._planner.sdist(candidate.file, "emulated")
        return [locked_file(candidate.file) for candidate in candidates if candidate.file is not None]

    def _finder(self, root: EmulatedRoot | None) -> BuildFinder:
        planner, target = self._planner, self._planner.target
        context = planner.context
        purpose = f"the build of {self._name}"

        def read_wheel(file: IndexFile) -> Metadata:
            return fetch_wheel_metadata(file, context.http, context.store)

        if root is None:
            machine = require_host().machine
            tags = tags_for(target.python, machine, target.suite.glibc)
            environment = {**planner.environment, "platform_machine": machine}
            finder = BuildFinder(purpose, tags, environment, planner.indexes, read_wheel)
        else:
            environment = {**planner.environment, "platform_machine": root.target.architecture.facts.wheel}
            finder = BuildFinder(
                purpose,
                supported_tags(root.target),
                environment,
                planner.indexes,
                lambda file: planner.metadata(file, "emulated"),
            )
            from incamera.toolchain.emulated_requirements import installed_versions  # lazy: few builds are emulated

            finder.installed = installed_versions(root.tree / "usr/lib/python3/dist-packages")
        if self._sdist:
            finder.remedy = (
                f"choose another version of {self._name}, or name other build requirements in a recipe for it "
                "([sdist] build-requires)"
            )
        finder.known = planner.known.setdefault(None if root is None else root.tree, {})
        finder.preferred = dict(_versions(planner.earlier, self._name))
        return finder


def _versions(builds: Iterable[LockedBuild], name: str) -> Iterator[tuple[str, str]]:
    """Yield the name and version of each file that *builds* has for the build called *name*."""
    for build in builds:
        for file in build.files if build.name == name else ():
            yield _name_and_version(file)


def _name_and_version(file: LockedFile) -> tuple[str, str]:
    project = project_of(file.filename)
    version = file.filename.removeprefix(f"{project}-").removesuffix(".tar.gz").removesuffix(".zip")
    return canonicalize_name(project), version.partition("-")[0] if file.is_wheel else version


def _setuptools(files: Iterable[LockedFile]) -> Version | None:
    """Return the version of setuptools among *files*; None where it is not. An emulated build may get an sdist."""
    return next(
        (parse_version(version) for name, version in map(_name_and_version, files) if name == "setuptools"), None
    )
