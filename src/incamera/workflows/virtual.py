"""virtual start: the packages that a virtual camera is made of, its saved state, the camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.workflows.tools import ensure_deb_tree

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.profile import Profile
    from incamera.virtual.camera import Packages, VirtualCamera
    from incamera.workflows.context import Context


def start_virtual(
    context: Context, profile: Profile, *, name: str | None = None, owner_pid: int | None = None
) -> VirtualCamera:
    """Start a virtual camera that behaves as *profile* says; fetches and makes what isn't in the store yet."""
    from incamera.virtual.camera import plan_virtual, start_camera

    plan = plan_virtual(profile)
    with context.reporter.step("virtual") as step:

        def ensure(purpose: str, packages: Packages) -> Path:
            return ensure_deb_tree(
                context,
                purpose,
                packages.roots,
                packages.suite,
                packages.architecture,
                leave_out=packages.without,
                step=step,
            )

        camera = start_camera(
            profile,
            tools=ensure("qemu", plan.tools),
            userland=ensure("userland", plan.userland),
            kernel=ensure("kernel", plan.kernel),
            store=context.store,
            name=name,
            owner_pid=owner_pid,
        )
        step.cached = camera.resumed
        how = "resumed" if camera.resumed else "booted once, its state saved"
        step.note(f"{camera.name}: SSH on {camera.ssh_host}:{camera.ssh_port}, {how}")
    return camera
