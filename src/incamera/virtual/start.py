"""virtual start: the packages that a virtual camera is made of, its saved state, the camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from incamera.build.deb_trees import ensure_deb_tree

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context, Step
    from incamera.targets.profile import Profile
    from incamera.virtual.camera import VirtualCamera


class VirtualTrees(TypedDict):
    """What `start_camera` is made of, unpacked."""

    tools: Path
    userland: Path
    kernel: Path


def start_virtual(
    context: Context, profile: Profile, *, name: str | None = None, owner_pid: int | None = None
) -> VirtualCamera:
    """Start a virtual camera that behaves as *profile* says; fetches and makes what isn't in the store yet."""
    from incamera.virtual.camera import start_camera

    with context.reporter.step("virtual") as step:
        trees = ensure_virtual_trees(context, profile, step=step)
        camera = start_camera(profile, **trees, store=context.store, name=name, owner_pid=owner_pid)
        step.cached = camera.resumed
        how = "resumed" if camera.resumed else "booted once, its state saved"
        if name is None and camera.name != profile.name:
            step.note(f"one called {profile.name} runs already, so this is another: {camera.name}")
        step.note(f"{camera.name}: SSH on {camera.ssh_host}:{camera.ssh_port}, {how}")
    return camera


def ensure_virtual_trees(context: Context, profile: Profile, *, step: Step | None = None) -> VirtualTrees:
    from incamera.virtual.camera import plan_virtual

    plan = plan_virtual(profile)
    return {
        "tools": ensure_deb_tree(context, "qemu", plan.tools, step=step),
        "userland": ensure_deb_tree(context, "userland", plan.userland, step=step),
        "kernel": ensure_deb_tree(context, "kernel", plan.kernel, step=step),
    }
