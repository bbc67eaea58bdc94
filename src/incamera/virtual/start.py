"""virtual start: get the packages of a virtual camera, then its saved state, then start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree
from incamera.virtual.camera import VirtualCamera, plan_virtual, start_camera
from incamera.virtual.ssh_server import SshServer, openssh_packages
from incamera.virtual.state import VirtualTrees

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.targets.profile import Profile


def start_virtual(
    context: Context,
    profile: Profile,
    *,
    name: str | None = None,
    owner_pid: int | None = None,
    ssh_server: SshServer = SshServer.dropbear,
) -> VirtualCamera:
    """Start a virtual camera of *profile*, and report it as a step. See `start_camera`.

    What the store does not have is downloaded and built. Raises FetchError, ResolveError, BuildError, DeviceError,
    UsageError.
    """
    with context.reporter.step("virtual") as step:
        trees = ensure_virtual_trees(context, profile, ssh_server=ssh_server, step=step)
        camera = start_camera(profile, trees, context.store, name=name, owner_pid=owner_pid, warn=context.reporter.warn)
        step.cached = camera.resumed
        how = "resumed" if camera.resumed else "booted once, its state saved"
        if name is None and camera.name != profile.name:
            step.note(f"{profile.name} is running already, so this one is called {camera.name}")
        step.note(f"{camera.name}: SSH on {camera.ssh_host}:{camera.ssh_port}, {how}")
    return camera


def ensure_virtual_trees(
    context: Context, profile: Profile, *, ssh_server: SshServer = SshServer.dropbear, step: Step | None = None
) -> VirtualTrees:
    """Return the packages of a virtual camera of *profile*, unpacked; what the store does not have is downloaded.

    Raises FetchError, ResolveError.
    """
    plan = plan_virtual(profile)
    return VirtualTrees(
        tools=ensure_deb_tree(context, "qemu", plan.tools, step=step),
        userland=ensure_deb_tree(context, "userland", plan.userland, step=step),
        kernel=ensure_deb_tree(context, "kernel", plan.kernel, step=step),
        openssh=ensure_deb_tree(context, "openssh", openssh_packages(profile), step=step)
        if ssh_server is SshServer.openssh
        else None,
    )
