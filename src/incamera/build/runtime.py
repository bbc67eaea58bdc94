"""Makes the runtime of a lock: its packages, downloaded or built, in one tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree, unpack_debs
from incamera.build.keys import MOST_KEPT, runtime_key
from incamera.build.linked_data import unpack_linked_data
from incamera.build.sdists import LockedRequirements, SdistBuild, ensure_built_wheel, fetch_distributions
from incamera.build.trimming import DEBIAN, Restoring
from incamera.debian.index import Deb
from incamera.errors import BuildError
from incamera.project.recipes import load_recipes
from incamera.runtime import assemble, layout, stdlib
from incamera.runtime.agent import stage_agent
from incamera.runtime.bytecode import ByteCompiler, byte_compiler
from incamera.runtime.launcher import require_launcher
from incamera.runtime.libraries import index_libraries
from incamera.runtime.trimming import ENTRY_POINTS, Dropped, write_trimmed
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.toolchain.interpreter import BuildInterpreter, HostTree
from incamera.toolchain.limits import default_limits
from incamera.wheels.install import Places, install_wheel
from incamera.wheels.scripts import write_scripts

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.project.locked import Lock
    from incamera.project.settings import Project
    from incamera.runtime.missing import Missing
    from incamera.targets.target import Target

Interpreter = Sequence[str]
"""The command that starts a Python of the target's minor version on this host."""


def ensure_byte_compiler(context: Context, target: Target) -> Interpreter:
    """Return the command that starts a Python of *target*'s minor version on this host, for byte-compiling."""
    host = require_host()
    debs = DebSet(
        suite=target.suite.name,
        architecture=host.debian,
        roots=(f"python{target.python}-minimal",),
        leave_out=frozenset({"libssl3", "libssl3t64", "gcc-12-base", "gcc-14-base"}),
    )
    tree = ensure_deb_tree(context, "byte-compiler", debs)
    return BuildInterpreter(HostTree(tree, host), target.python).argv()


def ensure_wheels(context: Context, project: Project, lock: Lock) -> Mapping[str, Path]:
    """Return the wheels of the lock's distributions by file name: downloaded, or built of their sdists.

    Returns none when the store has the runtime that they would go into. Raises FetchError, BuildError, ToolFailed.
    """
    if context.store.find_tree("runtimes", runtime_key(project, lock, context.environment)):
        return {}
    return collect_wheels(context, project, lock)


def collect_wheels(context: Context, project: Project, lock: Lock) -> Mapping[str, Path]:
    """Return the wheels as `ensure_wheels` does, also when the store has the runtime."""
    blobs = fetch_distributions(context, lock)
    recipes = load_recipes(lock.target.architecture, project.recipes)
    wheels = {}
    for item in lock.distributions:
        if item.file is None:
            continue
        if item.source == "wheel":
            wheels[item.file.filename] = blobs[item.file]
        else:
            sdist = SdistBuild(
                target=lock.target,
                name=item.name,
                source=item.source,
                file=item.file,
                recipe=recipes.find(item.name),
                compiler=project.compiler,
                requirements=LockedRequirements(context, project, lock.builds, item.file.sha256),
                isolation=project.build_isolation,
                limits=default_limits(project.build_limits),
            )
            built = ensure_built_wheel(context, sdist)
            wheels[built.name] = built
    return wheels


def ensure_runtime(
    context: Context, project: Project, lock: Lock, wheels: Mapping[str, Path], interpreter: Callable[[], Interpreter]
) -> str:
    """Return the key of the runtime of the lock's debs and *wheels*; if the store does not have it, make it.

    *interpreter* returns the command that byte-compiles. Raises FetchError, BuildError.
    """
    key = runtime_key(project, lock, context.environment)
    with context.reporter.step("runtime") as step:
        build = _RuntimeBuild(context, project, lock, wheels, step)
        _, step.cached = context.store.ensure_tree(
            "runtimes", key, lambda tree: build.run(tree, interpreter()), most=MOST_KEPT
        )
        if step.cached:
            step.note("unchanged")
        else:
            step.note(f"{sum(deb.size for deb in lock.debs) / 1e6:.1f} MB of packages")
    return key


@dataclass(frozen=True, slots=True)
class _RuntimeBuild:
    """What one runtime is made of. Modules are byte-compiled while further packages are unpacked."""

    context: Context
    project: Project
    lock: Lock
    wheels: Mapping[str, Path]
    step: Step
    dropped: Dropped = field(default_factory=Dropped)

    def run(self, tree: Path, interpreter: Interpreter) -> None:
        """Make the runtime in the empty folder *tree*."""
        with byte_compiler(interpreter, {}) as compiler:
            owners: dict[str, str] = {}
            libraries = self._unpack_debs(tree, compiler, owners)
            self._add_own_modules(tree, compiler)
            from_wheels = self._install_wheels(tree, compiler, owners)
            with self.step.phase("looking for what the packages import", "imports found"):
                self._restore_imported(tree, compiler, owners)
            with self.step.phase("byte-compiling", "byte-compiled"):
                compiler.finish()
        launcher = require_launcher(self.lock.target.architecture)
        missing = assemble.assemble_runtime(tree, self.lock.target, launcher, libraries)
        _require_complete(missing, from_wheels)

    def _unpack_debs(self, tree: Path, compiler: ByteCompiler, owners: dict[str, str]) -> list[str]:
        """Unpack the lock's debs. Returns the file names of the libraries in those that the user named in `debs`.

        *owners* gets the path of each file, and its package.
        """
        keep_source = layout.plan_sources(self.lock.target, self.project.keep)
        libraries: list[str] = []

        def on_files(deb: Deb, files: Sequence[str]) -> None:
            owners.update(dict.fromkeys(files, f"{DEBIAN}{deb.package}"))
            sources = [file for file in files if file.endswith(".py") and not (tree / file).is_symlink()]
            for file in sources:
                stdlib.adapt_module(tree, file, self.lock.target)
            compiler.submit(tree, sorted(sources), keep_source=keep_source)
            if deb.package in self.project.debs:
                libraries.extend(Path(file).name for file in files if file.startswith(layout.STAGED_LIBRARIES))

        debs = [Deb(**asdict(locked)) for locked in self.lock.debs]
        select = layout.plan_layout(self.lock.target, self.project.keep, self.dropped.add)
        unpack_debs(self.context, debs, tree, select, step=self.step, on_files=on_files)
        unpack_linked_data(self.context, debs, tree, [file for file in owners if file.startswith(layout.PACKAGES)])
        return sorted(libraries)

    def _add_own_modules(self, tree: Path, compiler: ByteCompiler) -> None:
        keep_source = layout.plan_sources(self.lock.target, self.project.keep)
        compiler.submit(tree, stdlib.stage_explanations(tree, self.lock.target), keep_source=keep_source)
        compiler.submit(
            tree, stage_agent(tree, self.lock.target.architecture), small=True
        )  # docstrings would cost the camera memory

    def _install_wheels(self, tree: Path, compiler: ByteCompiler, owners: dict[str, str]) -> list[str]:
        """Install the wheels. Returns the paths of their files. *owners* maps the paths of other files to packages."""
        staged = {f"{layout.LIBRARIES}/{name}" for name in index_libraries(tree / layout.STAGED_LIBRARIES)}
        places = Places(
            folders=layout.wheel_folders(self.lock.target),
            select=layout.plan_wheel(self.project.keep, self.dropped.add),
            owners=owners,
            is_reserved=lambda path: path in staged or layout.is_reserved(path, self.lock.target),
            warn=self.context.reporter.warn,
        )
        written: list[str] = []
        total = sum(wheel.stat().st_size for wheel in self.wheels.values())
        with self.step.phase("installing the wheels", "wheels installed", total) as advance:
            for name, wheel in sorted(self.wheels.items()):
                with self.context.store.reading_blob(wheel, name=name):
                    files = install_wheel(wheel, tree, places, name=name)
                compiler.submit(tree, sorted(file for file in files if _is_module(file)))
                written += files
                advance(wheel.stat().st_size)
        write_scripts(tree, layout.PACKAGES, places.is_reserved)
        return written

    def _restore_imported(self, tree: Path, compiler: ByteCompiler, owners: Mapping[str, str]) -> None:
        """Restore what was trimmed and the packages import; write down what stays dropped."""
        keep_source = layout.plan_sources(self.lock.target, self.project.keep)
        restoring = Restoring(
            context=self.context,
            lock=self.lock,
            tree=tree,
            wheels=lambda: self.wheels,
            compile_files=lambda files: compiler.submit(tree, files, keep_source=keep_source),
        )
        files = [
            file.removeprefix(f"{layout.PACKAGES}/")
            for file in sorted(owners)
            if _is_module(file) or (file.startswith(f"{layout.PACKAGES}/") and file.endswith(f"/{ENTRY_POINTS}"))
        ]
        units = self.dropped.units(self.lock.target, owners)
        write_trimmed(tree, restoring.restore_imported(layout.PACKAGES, files, units))


def _is_module(file: str) -> bool:
    return file.startswith(f"{layout.PACKAGES}/") and file.endswith(".py")


def _require_complete(missing: Sequence[Missing], from_wheels: Sequence[str]) -> None:
    """Raise BuildError when a library is *missing* that the interpreter or one of its libraries needs.

    What a package needs may be missing, since the camera may have it.
    """
    wheels = set(from_wheels)
    needed = [item for item in missing if not item.file.startswith(layout.PACKAGES) and item.file not in wheels]
    if needed:
        listed = ", ".join(f"{item.needs} (for {item.file})" for item in needed[:5])
        raise BuildError(
            f"no package in the lockfile has {listed}",
            hint="add the Debian package that has it to debs in [tool.incamera]",
        )
