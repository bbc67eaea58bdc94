"""What is made when a bundle is not there yet: the project's wheel, and the bundle out of runtime and app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.keys import project_wheel_key
from incamera.runtime import bundle as bundles
from incamera.runtime import layout
from incamera.runtime.bytecode import byte_compiler
from incamera.runtime.libraries import find_missing
from incamera.runtime.missing import load_missing

if TYPE_CHECKING:
    from incamera.build.runtime import Interpreter
    from incamera.context import Context
    from incamera.project.lockfile import Lock
    from incamera.project.settings import Project
    from incamera.targets.target import Target
    from incamera.tree import Entry


def ensure_wheel(context: Context, project: Project, target: Target, app_digest: str) -> Path:
    """Return the project's wheel for *target*, built through its own back end if its files have changed."""
    from incamera.build.toolchain import ensure_toolchain
    from incamera.toolchain.pep517 import build_wheel
    from incamera.toolchain.plan import Compiler

    key = project_wheel_key(project, target, app_digest)
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


def assemble_bundle(
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
            missing=[*load_missing(tree), *find_missing(tree, layout.APP)],
            distributions=[
                {"name": item.name, "version": item.version, "source": item.source, "why": item.why}
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
