"""Building an sdist under emulation, in a private root folder of the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree
from incamera.targets.host import require_host
from incamera.toolchain.emulated_root import EmulatedRoot, complete_tree, plan_emulated_root, select_emulator
from incamera.toolchain.emulation import TIMES_SLOWER, estimate_seconds
from incamera.toolchain.interpreter import BuildInterpreter, HostTree
from incamera.toolchain.plan import Compiler, plan_toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incamera.context import Context
    from incamera.targets.target import Target


def ensure_emulated_root(context: Context, target: Target, dev: Sequence[str] = ()) -> EmulatedRoot:
    """Return the root in which *target*'s sdists are built, with the packages *dev*; fetched where it's not there."""
    host = require_host()
    plan = plan_emulated_root(target, host, dev)
    with context.reporter.step("emulated root") as step:
        debs = plan_toolchain(target, Compiler.gcc, host).interpreter
        interpreter = BuildInterpreter(
            HostTree(ensure_deb_tree(context, "interpreter", debs, step=step), host), target.python
        )
        tree = ensure_deb_tree(
            context,
            "emulated root",
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
    """Say how long the build of *name*, whose sdist is unpacked in *source*, will take, and why."""
    minutes = max(1, round(estimate_seconds(source) / 60))
    context.reporter.warn(
        f"{name} is built under emulation, since it can't be cross-built or you chose so: the compiler itself is the "
        f"camera's then, and takes some {TIMES_SLOWER} times as long; roughly {minutes} min for {target}, once"
    )
