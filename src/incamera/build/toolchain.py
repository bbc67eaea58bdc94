"""The cross-compiling toolchain for a target: Debian packages and, for zig, a wheel from the package index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.camera_sdk import NO_USE, CameraUse, ensure_sdk
from incamera.build.deb_trees import ensure_deb_tree
from incamera.targets.host import require_host
from incamera.toolchain.alternatives import link_alternatives
from incamera.toolchain.build_folder import Toolchain, bytecode_cache, fill_bytecode_cache
from incamera.toolchain.compiler import Gcc, Zig
from incamera.toolchain.emulator import Emulator, plan_emulator, select_for_emulator
from incamera.toolchain.interpreter import BuildInterpreter, HostTree
from incamera.toolchain.plan import Compiler, plan_toolchain, select_for_sysroot
from incamera.toolchain.vendor_sdk import SdkFiles
from incamera.toolchain.zig import ensure_zig, zig_cache

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.targets.packages import DebSet
    from incamera.targets.target import Target


def ensure_toolchain(
    context: Context, target: Target, compiler: Compiler, dev: Sequence[str] = (), camera: CameraUse = NO_USE
) -> Toolchain:
    """Return the toolchain for *target*; what the store does not have of it is downloaded.

    *dev*: Debian packages with the headers and libraries that a build needs (`libjpeg-dev`). *camera*: what it uses of
    the camera's libraries. Raises FetchError, ResolveError.
    """
    host = require_host()
    dev = (*dev, *camera.dev)
    plan = plan_toolchain(target, compiler, host, dev)
    with context.reporter.step("toolchain") as step:
        before = _TreeCount(context)

        def ensure(name: str, debs: DebSet) -> Path:
            return ensure_deb_tree(context, name, debs, step=step)

        interpreter = BuildInterpreter(HostTree(ensure("interpreter", plan.interpreter), host), target.python)
        if plan.compiler_tree is not None:
            chosen: Gcc | Zig = Gcc(HostTree(ensure("gcc", plan.compiler_tree), host))
        else:
            tree, _ = ensure_zig(context.store, context.http, host, environment=context.environment, phase=step.phase)
            with step.phase("building zig's C runtimes", "C runtimes built"):
                chosen = _ready_zig(context, Zig(tree, zig_cache(context.store)), target)
        sysroot = ensure_deb_tree(
            context,
            "cross-sysroot",
            plan.sysroot,
            step=step,
            select=select_for_sysroot,
            finish=lambda tree: link_alternatives(tree, target),
        )
        cache = bytecode_cache(context.store.root, interpreter)
        with step.phase("byte-compiling the build's Python", "byte-compiled"):
            fill_bytecode_cache(cache, interpreter, interpreter.tree.root)
        step.cached = before.unchanged()
        packages = f", {len(dev)} -dev package{'s' if len(dev) > 1 else ''}" if dev else ""
        step.note(f"{compiler} for {target}{packages}")
    return Toolchain(
        target=target,
        interpreter=interpreter,
        compiler=chosen,
        sysroot=sysroot,
        bytecode_cache=cache,
        ensure_emulator=partial(ensure_emulator, context, target),
        camera=ensure_sdk(context, target) if camera.libraries else None,
        sdk=SdkFiles(camera.sdk.sysroot, camera.sdk.flags) if camera.sdk is not None else None,
    )


def _ready_zig(context: Context, zig: Zig, target: Target) -> Zig:
    """Return *zig* with its runtimes for *target* in the cache. Builds cannot put them there: they get a copy of it."""
    ready = zig.cache / f"incamera-{zig.tree.name[:16]}-{target}"
    if not ready.exists():
        with context.store.lock("zig"), context.store.temporary() as folder:
            if not ready.exists():
                zig.fill_cache(target, folder)
                ready.touch()
    return zig


def ensure_emulator(context: Context, target: Target) -> Emulator:
    """Return the emulator that runs the target's programs on this computer; download what the store lacks of it."""
    host = require_host()
    programs, libraries = plan_emulator(target, host)
    with context.reporter.step("emulator") as step:
        before = _TreeCount(context)
        emulator = Emulator(
            HostTree(ensure_deb_tree(context, "emulator", programs, step=step, select=select_for_emulator), host),
            ensure_deb_tree(context, "emulated-libraries", libraries, step=step),
        )
        step.cached = before.unchanged()
        step.note("for builds that run programs they have compiled")
    return emulator


class _TreeCount:
    """Tells whether the store got new trees after this object was made."""

    def __init__(self, context: Context) -> None:
        self._folder = context.store.root / "trees"
        self._count = self._now()

    def unchanged(self) -> bool:
        return self._now() == self._count

    def _now(self) -> int:
        return sum(1 for _ in self._folder.glob("*/*.json"))
