"""virtual start: get the packages of a virtual camera, then its saved state, then start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree
from incamera.errors import DeviceError
from incamera.virtual.camera import NO_EXTRAS, Extras, VirtualCamera, list_cameras, plan_virtual, start_camera
from incamera.virtual.ssh_server import SshServer, openssh_packages
from incamera.virtual.state import VirtualTrees
from incamera.virtual.web_server import web_packages

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.targets.profile import Profile
    from incamera.virtual.chips import Chip


def start_virtual(
    context: Context,
    profile: Profile,
    *,
    name: str | None = None,
    owner_pid: int | None = None,
    ssh_server: SshServer = SshServer.dropbear,
    web: bool = False,
    extras: Extras = NO_EXTRAS,
) -> VirtualCamera:
    """Start a virtual camera of *profile*, and report it as a step. See `start_camera`.

    With *web*, it has a web server; one without root over SSH always has. What the store does not have is downloaded
    and built. Raises FetchError, ResolveError, BuildError, DeviceError, UsageError.
    """
    with context.reporter.step("virtual") as step:
        trees = ensure_virtual_trees(context, profile, ssh_server=ssh_server, web=web, step=step)
        with step.phase("starting the camera", "camera started"):
            camera = start_camera(
                profile,
                trees,
                context.store,
                name=name,
                owner_pid=owner_pid,
                warn=context.reporter.warn,
                extras=extras,
            )
        step.cached = camera.resumed
        how = "resumed" if camera.resumed else "booted once, its state saved"
        if name is None and camera.name != profile.name:
            step.note(f"{profile.name} is running already, so this one is called {camera.name}")
        servers = [f"SSH on {camera.ssh_host}:{camera.ssh_port}"] if camera.ssh_user else []
        servers += [camera.url] if camera.url else []
        step.note(f"{camera.name}: {', '.join(servers)}, {how}")
    return camera


def ensure_camera(
    context: Context,
    profile: Profile,
    *,
    name: str | None = None,
    ssh_server: SshServer | None = None,
    web: bool = False,
    chip: Chip | None = None,
) -> tuple[VirtualCamera, bool]:
    """Return a running virtual camera of *profile*, and whether it ran already; start one if none runs.

    *name*: None for any name. *ssh_server*: None for any, dropbear where one is started. With *web*, it has a web
    server. *chip*: None for any, no chip where one is started. Two calls at the same time start one camera. Raises
    DeviceError when a camera called *name* is another one, and what `start_virtual` raises.
    """
    with context.store.lock(f"virtual-start-{profile.name}"):
        running = list_cameras(context.store)
        if name is not None and (named := next((camera for camera in running if camera.name == name), None)):
            _require_same(named, profile, ssh_server, web=web, chip=chip)
            return named, True
        servers = (ssh_server,) if ssh_server else tuple(SshServer)
        same = [
            camera
            for camera in running
            if camera.profile == profile.name
            and camera.ssh_server in servers
            and (camera.url or not web)
            and (chip is None or camera.chip == chip.name)
        ]
        if name is None and same:
            return min(same, key=lambda camera: (camera.name != profile.name, camera.name)), True
        server = ssh_server or SshServer.dropbear
        return start_virtual(context, profile, name=name, ssh_server=server, web=web, extras=Extras(chip=chip)), False


def _require_same(
    camera: VirtualCamera, profile: Profile, ssh_server: SshServer | None, *, web: bool, chip: Chip | None
) -> None:
    name = camera.name
    if camera.profile != profile.name:
        what = f"is running already, of another profile: {camera.profile}, not {profile.name}"
    elif ssh_server not in (None, camera.ssh_server):
        what = f"is running already, with another SSH server: {camera.ssh_server}, not {ssh_server}"
    elif web and not camera.url:
        what = "is running already, without a web server"
    elif chip is not None and camera.chip != chip.name:
        what = f"is running already, with {camera.chip or 'no chip'}, not {chip.name}"
    else:
        return
    hint = f"stop it with `incamera virtual stop {name}`, or choose another name with --name"
    raise DeviceError(f'a virtual camera called "{name}" {what}', hint=hint)


def ensure_virtual_trees(
    context: Context,
    profile: Profile,
    *,
    ssh_server: SshServer = SshServer.dropbear,
    web: bool = False,
    step: Step | None = None,
) -> VirtualTrees:
    """Return the packages of a virtual camera of *profile*, unpacked; what the store does not have is downloaded.

    With *web*, those of a web server too; a camera without root over SSH always has one.

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
        web=ensure_deb_tree(context, "web", web_packages(profile), step=step)
        if web or not profile.has_root_login
        else None,
    )
