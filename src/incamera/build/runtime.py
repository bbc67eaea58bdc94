"""The runtime of a lock: its packages fetched or built, then made into one tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree, unpack_debs
from incamera.build.keys import runtime_key
from incamera.errors import BuildError
from incamera.runtime import assemble, layout
from incamera.runtime.agent import stage_agent
from incamera.runtime.bytecode import byte_compiler
from incamera.runtime.launcher import require_launcher
from incamera.targets.packages import DebSet

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.debian.index import Deb
    from incamera.project.lockfile import Lock, LockedDeb
    from incamera.project.settings import Project
    from incamera.targets.target import Target

Interpreter = Sequence[str]
"""The command that starts a Python of the target's minor version on this host."""


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
    from incamera.build.sdists import ensure_built_wheel, fetch_distributions
    from incamera.project.recipes import load_recipes

    blobs = fetch_distributions(context, lock)
    recipes = load_recipes(lock.target.architecture, project.recipes)
    wheels = {}
    for item in lock.distributions:
        if item.source == "wheel":
            assert item.file is not None
            wheels[item.file.filename] = blobs[item.file]
        elif item.file is not None:
            recipe = recipes.find(item.name)
            built = ensure_built_wheel(
                context, lock.target, item.name, item.source, item.file, recipe, compiler=project.compiler
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


def _deb(locked: LockedDeb) -> Deb:
    from incamera.debian.index import Deb

    return Deb(**asdict(locked))
