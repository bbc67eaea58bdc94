"""The root folder, with the target's own packages, in which sdists are built under emulation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree
from incamera.targets.host import require_host
from incamera.toolchain.emulated_root import EmulatedRoot, complete_tree, plan_emulated_root, select_emulator
from incamera.toolchain.interpreter import BuildInterpreter, HostTree
from incamera.toolchain.plan import Compiler, plan_toolchain

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.targets.target import Target


def ensure_emulated_root(context: Context, target: Target, dev: Sequence[str] = ()) -> EmulatedRoot:
    """Return the root in which sdists for *target* are built, with the Debian packages *dev* in it.

    Its packages are downloaded if the store does not have them. Raises FetchError, ResolveError.
    """
    host = require_host()
    plan = plan_emulated_root(target, host, dev)
    with context.reporter.step("emulated root") as step:
        debs = plan_toolchain(target, Compiler.gcc, host).interpreter
        interpreter = BuildInterpreter(
            HostTree(ensure_deb_tree(context, "interpreter", debs, step=step), host), target.python
        )
        tree = ensure_deb_tree(
            context,
            "emulated root 2",  # the number: increase it when `complete_tree` makes another tree
            plan.tree,
            step=step,
            finish=lambda tree: complete_tree(tree, target, interpreter),
        )
        emulator: Path | None = None
        if plan.emulator is not None:
            binaries = ensure_deb_tree(
                context,
                f"emulator of {target.architecture}",
                plan.emulator,
                step=step,
                select=lambda path: select_emulator(target, path),
            )
            [emulator] = (binaries / "usr/bin").iterdir()
        proot = HostTree(ensure_deb_tree(context, "proot", plan.proot, step=step), host)
        step.note(str(target))
    return EmulatedRoot(target=target, tree=tree, emulator=emulator, proot=proot, interpreter=interpreter)


def warn_of_emulation(context: Context, name: str, source: Path, target: Target) -> None:
    """Warn that *name* is built under emulation, and how long that takes; its sdist is unpacked in *source*."""
    from incamera.toolchain.emulation import TIMES_SLOWER, estimate_seconds  # lazy: most locks build nothing

    minutes = max(1, round(estimate_seconds(source) / 60))
    context.reporter.warn(
        f"{name} is built under emulation for {target}, because it can't be cross-built or because you chose "
        f"that. The compiler runs under emulation, too, about {TIMES_SLOWER} times slower: this takes roughly "
        f"{minutes} min, once"
    )
