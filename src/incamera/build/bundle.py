"""Makes a bundle that is not in the store: the project's own wheel, then runtime and app in one tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from incamera.build.camera_sdk import find_project_use
from incamera.build.isolation import check_isolation
from incamera.build.keys import MOST_KEPT, project_wheel_key, sdk_key
from incamera.build.logs import naming_log, project_log_path
from incamera.build.runtime import collect_wheels
from incamera.build.sdists import LockedRequirements
from incamera.build.toolchain import ensure_toolchain
from incamera.build.trimming import Restoring
from incamera.build.variables import project_variables
from incamera.runtime import bundle as bundles
from incamera.runtime import layout
from incamera.runtime.bytecode import byte_compiler
from incamera.runtime.libraries import find_missing
from incamera.runtime.missing import load_missing
from incamera.runtime.trimming import TRIMMED, load_trimmed, write_trimmed
from incamera.toolchain.limits import default_limits
from incamera.toolchain.pep517 import build_wheel
from incamera.toolchain.plan import Compiler
from incamera.toolchain.wheel_build import WheelBuild
from incamera.wheels.install import Places, install_wheel
from incamera.wheels.scripts import write_scripts

if TYPE_CHECKING:
    from incamera.build.runtime import Interpreter
    from incamera.context import Context
    from incamera.project.locked import Lock
    from incamera.project.settings import Project
    from incamera.runtime.bytecode import ByteCompiler
    from incamera.targets.target import Target
    from incamera.tree import Entry


def ensure_project_wheel(context: Context, project: Project, lock: Lock, app_digest: str) -> Path:
    """Return the project's wheel for the target of *lock*; if its files have changed, its build back end builds it.

    *app_digest* is a digest of the project's files. Raises BuildError, ToolFailed.
    """
    sdk = sdk_key(context.store, project, lock.target)
    key = project_wheel_key(project, lock, app_digest, context.environment, sdk)
    found = context.store.find_tree("wheels", key)
    if found is None:
        camera = find_project_use(context, project, lock.target)
        toolchain = ensure_toolchain(context, lock.target, Compiler.parse(project.compiler), camera=camera)
    with context.reporter.step("build") as step:
        if found is not None:
            step.cached = True
        else:
            wheel_build = WheelBuild(
                project=project.folder,
                store=context.store,
                requirements=LockedRequirements(context, project, lock.builds, ""),
                environment=project_variables(context.environment),
                log=project_log_path(context, project, lock.target),
                limits=default_limits(project.build_limits),
                leaves_out=project.app_files().is_excluded,
                warn=context.reporter.warn,
            )

            def build(tree: Path) -> None:
                check_isolation(context, project.build_isolation)
                with naming_log(project_log_path(context, project, lock.target)):
                    build_wheel(wheel_build, toolchain, tree)

            found, step.cached = context.store.ensure_tree("wheels", key, build, most=MOST_KEPT)
        wheel = next(found.glob("*.whl"))
        step.note(wheel.name)
    return wheel


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleParts:
    """What a bundle is made of.

    `files`: the project's files, relative to its folder. `wheel`: the project's own; None when it has no build system.
    `interpreter`: the command that byte-compiles.
    """

    project: Project
    lock: Lock
    runtime_key: str
    files: Sequence[str]
    wheel: Path | None
    interpreter: Interpreter

    @property
    def version(self) -> str:
        """The project's version. Its build back end may know it better than pyproject.toml."""
        if self.wheel is None:
            return self.project.version
        return str(parse_wheel_filename(self.wheel.name)[1])


def make_bundle(context: Context, key: str, parts: BundleParts) -> None:
    """Make the bundle of *parts*, and put it into the store under *key*."""
    runtime = context.store.find_tree("runtimes", parts.runtime_key)
    assert runtime is not None
    # The digests of the runtime's files are known, so the store need not compute them again.
    known = {entry.path: entry for entry in context.store.require_whole("runtimes", parts.runtime_key)}
    del known[TRIMMED]  # the app may import what the packages do not

    def build(tree: Path) -> Mapping[str, Entry]:
        bundles.link_tree(runtime, tree)
        _add_app(parts, tree)
        with byte_compiler(parts.interpreter, {}, workers=1) as compiler:
            sources = _compile_app(tree, compiler)
            _restore_imported(context, parts, tree, sources, compiler)
        _write_manifest(parts, tree)
        return known

    context.store.ensure_tree("bundles", key, build, most=MOST_KEPT)


def _add_app(parts: BundleParts, tree: Path) -> None:
    files = parts.files
    if parts.wheel is not None:
        install_app(parts.wheel, parts.lock.target, tree)
        files = _files_besides_wheel(parts, tree)
    bundles.add_app(tree, parts.project.folder, files)


def install_app(wheel: Path, target: Target, tree: Path) -> None:
    """Install the project's own *wheel*: its modules go into the app's folder, its data files beside the packages'."""

    def is_reserved(path: str) -> bool:
        return layout.is_reserved(path, target, layout.APP)

    places = Places(
        folders=layout.wheel_folders(target, layout.APP),
        select=lambda path: layout.beside_modules(path, layout.APP),
        is_reserved=is_reserved,
    )
    install_wheel(wheel, tree, places)
    write_scripts(tree, layout.APP, is_reserved)


def _files_besides_wheel(parts: BundleParts, tree: Path) -> Sequence[str]:
    """Return the project's files that are added to those of its wheel: what is started or, in a test bundle, tests."""
    if parts.project.variant == "test":
        # Tests may read any file beside them. The packages in src/ come from the wheel alone.
        return [file for file in parts.files if not file.startswith("src/") and not (tree / layout.APP / file).exists()]
    return parts.project.loose_files


def _compile_app(tree: Path, compiler: ByteCompiler) -> list[str]:
    """Byte-compile the app's modules. Returns their paths."""
    sources = sorted(path.relative_to(tree).as_posix() for path in (tree / layout.APP).rglob("*.py"))
    compiler.submit(tree, sources)
    return sources


def _restore_imported(
    context: Context, parts: BundleParts, tree: Path, sources: Sequence[str], compiler: ByteCompiler
) -> None:
    """Restore what was trimmed of the runtime and the app imports."""
    keep_source = layout.plan_sources(parts.lock.target, parts.project.keep)
    restoring = Restoring(
        context=context,
        lock=parts.lock,
        tree=tree,
        wheels=lambda: collect_wheels(context, parts.project, parts.lock),
        compile_files=lambda files: compiler.submit(tree, files, keep_source=keep_source),
    )
    dropped = load_trimmed(tree)
    entry = parts.project.entry
    left = restoring.restore_imported(
        layout.APP,
        [file.removeprefix(f"{layout.APP}/") for file in sources],
        dropped,
        modules=[entry.module] if entry is not None and entry.module is not None else [],
    )
    if left != dropped:
        write_trimmed(tree, left)


def _write_manifest(parts: BundleParts, tree: Path) -> None:
    project, lock = parts.project, parts.lock
    bundles.write_manifest(
        tree,
        name=project.name,
        version=parts.version,
        target=lock.target,
        arguments=project.entry.to_arguments() if project.entry is not None else [],
        missing=[*load_missing(tree), *find_missing(tree, layout.APP)],
        distributions=[
            {"name": item.name, "version": item.version, "source": item.source, "why": item.why}
            for item in lock.distributions
        ],
    )
