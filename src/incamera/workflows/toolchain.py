"""The cross-compiling toolchain for a target, brought together from Debian packages and, for zig, the package index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from incamera.targets.host import require_host
from incamera.toolchain.build_folder import Toolchain, bytecode_cache
from incamera.toolchain.compiler import Gcc, Zig
from incamera.toolchain.interpreter import BuildInterpreter, HostTree
from incamera.toolchain.plan import Compiler, plan_toolchain
from incamera.toolchain.zig import ensure_zig, zig_cache
from incamera.workflows.tools import ensure_deb_tree

if TYPE_CHECKING:
    from incamera.targets.packages import DebSet
    from incamera.targets.target import Target
    from incamera.workflows.context import Context


def ensure_toolchain(context: Context, target: Target, compiler: Compiler) -> Toolchain:
    """Return what *target*'s extension modules are built with; fetched where it isn't in the store."""
    host = require_host()
    plan = plan_toolchain(target, compiler, host)
    with context.reporter.step("toolchain") as step:
        before = _TreeCount(context)

        def ensure(name: str, debs: DebSet) -> Path:
            return ensure_deb_tree(context, name, debs, step=step)

        interpreter = BuildInterpreter(HostTree(ensure("interpreter", plan.interpreter), host), target.python)
        if plan.compiler_tree is not None:
            chosen: Gcc | Zig = Gcc(HostTree(ensure("gcc", plan.compiler_tree), host))
        else:
            tree, _ = ensure_zig(context.store, context.http, host, environment=context.environment)
            chosen = Zig(tree, zig_cache(context.store))
        sysroot = ensure("sysroot", plan.sysroot)
        step.cached = before.unchanged()
        step.note(f"{compiler} for {target}")
    return Toolchain(
        target=target,
        interpreter=interpreter,
        compiler=chosen,
        sysroot=sysroot,
        bytecode_cache=bytecode_cache(context.store.root, interpreter),
    )


class _TreeCount:
    """Tells whether trees came into the store since it was made."""

    def __init__(self, context: Context) -> None:
        self._folder = context.store.root / "trees"
        self._count = self._now()

    def unchanged(self) -> bool:
        return self._now() == self._count

    def _now(self) -> int:
        return sum(1 for _ in self._folder.glob("*/*.json"))
