"""build: lock → fetch → build → bundle, each step only when it is stale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from incamera.errors import BuildError
from incamera.project.files import files_digest, project_files
from incamera.runtime import assemble, layout
from incamera.runtime import bundle as bundles
from incamera.runtime.agent import agent_digest, stage_agent
from incamera.runtime.bytecode import byte_compiler
from incamera.runtime.launcher import require_launcher
from incamera.runtime.libraries import find_missing
from incamera.targets.packages import DebSet
from incamera.tree import Entry, tree_digest
from incamera.waiting import await_result
from incamera.workflows.lock import ensure_lock
from incamera.workflows.tools import ensure_deb_tree, unpack_debs

if TYPE_CHECKING:
    from incamera.debian.index import Deb
    from incamera.project.lockfile import Lock
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.targets.target import Target
    from incamera.workflows.context import Context

# Raise it when wheels made from the same files change.
_WHEEL_FORMAT = 1
# How long to wait, once interrupted, for the background to clean up after itself.
_GRACE_SECONDS = 5.0

Interpreter = Sequence[str]
"""The command that starts a Python of the target's minor version on this host."""


def build_bundle(context: Context, project: Project, target: Target, *, renew_lock: bool = True) -> Bundle:
    """Return the project's bundle for *target*, made out of what is stale: the lock, too, if *renew_lock*."""
    files = project_files(project.folder)
    app_digest = files_digest(project.folder, files)
    # The interpreter is on its way while the packages are chosen, unless all is there.
    with _Later(context, lambda: ensure_byte_compiler(context, target)) as interpreter:
        lock = ensure_lock(context, project, target, renew=renew_lock, before_resolving=interpreter.start)
        key = _bundle_key(project, lock, app_digest)
        if context.store.find_tree("bundles", key):
            with context.reporter.step("bundle") as step:
                step.cached = True
                bundle = _load(context, key)
                step.note(f"{bundle.digest[:16]}, nothing changed")
            return bundle
        interpreter.start()
        wheels = ensure_wheels(context, project, lock)
        runtime_key = ensure_runtime(context, project, lock, wheels, interpreter.result)
        wheel = ensure_wheel(context, project, target, app_digest) if project.has_build_system else None
        with context.reporter.step("bundle") as step:
            _assemble_bundle(context, project, lock, key, runtime_key, files, wheel, interpreter.result())
            bundle = _load(context, key)
            step.note(f"{bundle.digest[:16]}, {len(bundle.entries)} files, {bundle.tree_bytes / 1e6:.1f} MB")
    return bundle


def ensure_byte_compiler(context: Context, target: Target) -> Interpreter:
    """Return the command that starts a host Python of the target's minor version: the bare interpreter."""
    from incamera.targets.host import require_host
    from incamera.toolchain.interpreter import BuildInterpreter, HostTree

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
    """Return the wheels of the lock's distributions by name: fetched, or built from their sdists.

    None is looked for while the runtime that they would go into is there.
    """
    if context.store.find_tree("runtimes", runtime_key(project, lock)):
        return {}
    from incamera.project.recipes import load_recipes
    from incamera.workflows.packages import ensure_built_wheel, fetch_distributions

    blobs = fetch_distributions(context, lock)
    recipes = load_recipes(lock.target.architecture, project.recipes)
    wheels = {}
    for item in lock.distributions:
        if item.rung == "wheel":
            assert item.file is not None
            wheels[item.file.filename] = blobs[item.file]
        elif item.file is not None:
            recipe = recipes.find(item.name)
            built = ensure_built_wheel(
                context, lock.target, item.name, item.rung, item.file, recipe, compiler=project.compiler
            )
            wheels[built.name] = built
    return wheels


def ensure_runtime(
    context: Context, project: Project, lock: Lock, wheels: Mapping[str, Path], interpreter: Callable[[], Interpreter]
) -> str:
    """Return the key of the runtime made of the lock's debs and of *wheels*, assembled if it isn't there."""
    from incamera.wheels.install import install_wheel

    key = runtime_key(project, lock)

    with context.reporter.step("runtime") as step:

        def build(tree: Path) -> None:
            keep_source = layout.plan_sources(lock.target, project.keep)
            wanted: list[str] = []  # the libraries of the packages that the user named
            with byte_compiler(interpreter(), {}) as compiler:

                def take_in(deb: Deb, files: Sequence[str]) -> None:
                    sources = [file for file in files if file.endswith(".py") and not (tree / file).is_symlink()]
                    compiler.submit(tree, sorted(sources), keep_source=keep_source)
                    if deb.package in project.debs:
                        wanted.extend(Path(file).name for file in files if file.startswith(layout.STAGED_LIBRARIES))

                debs = [_deb(locked) for locked in lock.debs]
                select = layout.plan_layout(lock.target, project.keep)
                unpack_debs(context, debs, tree, select, step=step, on_files=take_in)
                compiler.submit(tree, assemble.stage_explanations(tree, lock.target), keep_source=keep_source)
                compiler.submit(tree, stage_agent(tree))
                packages = layout.plan_packages(lock.target, project.keep)
                for name, wheel in sorted(wheels.items()):
                    files = install_wheel(wheel, tree / layout.PACKAGES, name=name, select=packages)
                    compiler.submit(tree, sorted(f"{layout.PACKAGES}/{file}" for file in files if file.endswith(".py")))
            launcher = require_launcher(lock.target.architecture)
            missing = assemble.assemble_runtime(tree, lock.target, launcher, sorted(wanted))
            # The camera may have what a package needs; what the interpreter and its libraries need it must not.
            if ours := [item for item in missing if not item.file.startswith(layout.PACKAGES)]:
                listed = ", ".join(f"{item.needs} (for {item.file})" for item in ours[:5])
                raise BuildError(
                    f"no package brings {listed}", hint="name the one that does in debs of [tool.incamera]"
                )

        _tree, step.cached = context.store.ensure_tree("runtimes", key, build)
        if step.cached:
            step.note("unchanged")
        else:
            step.note(f"{sum(deb.size for deb in lock.debs) / 1e6:.1f} MB of packages")
    return key


def ensure_wheel(context: Context, project: Project, target: Target, app_digest: str) -> Path:
    """Return the project's wheel for *target*, built through its own back end if its files have changed."""
    from incamera.toolchain.pep517 import build_wheel
    from incamera.toolchain.plan import Compiler
    from incamera.workflows.toolchain import ensure_toolchain

    key = _key([_WHEEL_FORMAT, str(target), project.compiler, app_digest])
    found = context.store.find_tree("wheels", key)
    if found is None:
        toolchain = ensure_toolchain(context, target, Compiler.parse(project.compiler))
    with context.reporter.step("build") as step:
        if found is not None:
            step.cached = True
        else:

            def build(tree: Path) -> None:
                build_wheel(
                    project.folder,
                    toolchain,
                    context.store,
                    tree,
                    environment=context.environment,
                    note=context.reporter.warn,
                )

            found, step.cached = context.store.ensure_tree("wheels", key, build)
        wheel = next(found.glob("*.whl"))
        step.note(wheel.name)
    return wheel


def _assemble_bundle(
    context: Context,
    project: Project,
    lock: Lock,
    key: str,
    runtime_key: str,
    files: Sequence[str],
    wheel: Path | None,
    interpreter: Interpreter,
) -> None:
    from incamera.wheels.install import install_wheel

    runtime = context.store.find_tree("runtimes", runtime_key)
    assert runtime is not None
    known = {entry.path: entry for entry in context.store.tree_entries("runtimes", runtime_key)}

    def build(tree: Path) -> Mapping[str, Entry]:
        bundles.link_tree(runtime, tree)
        if wheel is not None:  # it has the project's files, but for the one that is run
            install_wheel(wheel, tree / layout.APP)
        bundles.add_app(tree, project.folder, _own_files(project, files, tree) if wheel is not None else files)
        with byte_compiler(interpreter, {}, workers=1) as compiler:
            sources = (path.relative_to(tree).as_posix() for path in (tree / layout.APP).rglob("*.py"))
            compiler.submit(tree, sorted(sources))
        bundles.write_manifest(
            tree,
            name=project.name,
            version=project.version,
            target=lock.target,
            arguments=project.entry.to_arguments(),
            missing=[*assemble.load_missing(tree), *find_missing(tree, layout.APP)],
            distributions=[
                {"name": item.name, "version": item.version, "rung": item.rung, "why": item.why}
                for item in lock.distributions
            ],
        )
        return known

    context.store.ensure_tree("bundles", key, build)


def _own_files(project: Project, files: Sequence[str], tree: Path) -> Sequence[str]:
    """Return which of the project's *files* are added to those of its wheel: the one that is run, and the tests."""
    if project.variant == "test":
        # Tests read whatever lies beside them; where a wheel's packages come from is no place to import them from.
        return [file for file in files if not file.startswith("src/") and not (tree / layout.APP / file).exists()]
    return [project.entry.file] if project.entry.file else []


def _load(context: Context, key: str) -> Bundle:
    path = context.store.find_tree("bundles", key)
    assert path is not None
    entries = context.store.tree_entries("bundles", key)
    return bundles.load_bundle(path, entries, tree_digest(entries))


def runtime_key(project: Project, lock: Lock) -> str:
    launcher = require_launcher(lock.target.architecture).read_bytes()
    inputs: list[object] = [assemble.FORMAT, str(lock.target), lock.digest, sorted(project.keep), sorted(project.debs)]
    inputs.append(agent_digest())
    if any(item.rung in ("sdist", "emulated") for item in lock.distributions):
        from incamera.project.recipes import load_recipes
        from incamera.workflows.packages import built_keys

        inputs.append(built_keys(project, lock, load_recipes(lock.target.architecture, project.recipes)))
    return _key(inputs, launcher)


def _bundle_key(project: Project, lock: Lock, app_digest: str) -> str:
    settings = [bundles.FORMAT, project.name, project.version, project.entry.to_arguments(), project.compiler]
    return _key([settings, runtime_key(project, lock), app_digest])


def _key(inputs: object, more: bytes = b"") -> str:
    return hashlib.sha256(json.dumps(inputs).encode() + more).hexdigest()[:32]


def _deb(locked: object) -> Deb:
    from incamera.debian.index import Deb

    return Deb(**asdict(locked))  # type: ignore[call-overload]


class _Later:
    """A piece of work that begins in the background as soon as somebody knows that it will be needed."""

    def __init__(self, context: Context, work: Callable[[], Interpreter]) -> None:
        self._context = context
        self._work = work
        self._future: Future[Interpreter] = Future()
        # Not an executor's: the interpreter would wait for it at its end, whatever it waits for itself.
        self._thread = Thread(target=self._run, name="later", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.ident is None:
            return
        if isinstance(error, KeyboardInterrupt):
            self._context.http.stop()
            self._thread.join(_GRACE_SECONDS)
        else:
            self._thread.join()

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def result(self) -> Interpreter:
        self.start()
        return await_result(self._future)

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:
            self._future.set_exception(error)
