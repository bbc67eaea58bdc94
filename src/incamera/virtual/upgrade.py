"""Upgrade a virtual camera to a newer AXIS OS, with the apps and settings that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.errors import DeviceError, UsageError
from incamera.targets.profile import require_profile
from incamera.virtual.agreed import RESTART, UPGRADE, UPGRADED
from incamera.virtual.camera import VirtualCamera, await_restart, require_camera
from incamera.virtual.keys import ensure_keys
from incamera.virtual.ssh_server import SshServer
from incamera.virtual.start import ensure_virtual_trees
from incamera.virtual.state import ensure_state
from incamera.virtual.supervisor_request import Upgrade
from incamera_agent.wire.frames import load_json

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.targets.profile import Profile


def upgrade_camera(context: Context, name: str, profile: Profile) -> VirtualCamera:
    """Make the camera called *name* one of *profile*, and return it once its servers answer.

    Its flash and SD card stay. When an app in it does not fit the new AXIS OS, or that does not start, the camera is
    what it was before: DeviceError, which says why. Raises UsageError for a profile that is no upgrade, FetchError,
    ResolveError and BuildError.
    """
    store = context.store
    camera = require_camera(store, name)
    _require_upgrade(camera, profile)
    with context.reporter.step("upgrade") as step:
        server = SshServer(camera.ssh_server)
        trees = ensure_virtual_trees(context, profile, ssh_server=server, web=True, step=step)
        state = ensure_state(store, profile, trees, ensure_keys(store), context.reporter.warn)
        folder = store.root / "virtual" / name
        store.keep_trees([*state.machine, str(state.memory)], as_long_as=folder)
        upgrade = Upgrade(
            machine=state.machine,
            state=state.memory,
            speaks_ssh=profile.has_root_login,
            record={"profile": profile.name, "ssh_user": profile.user},
        )
        (folder / UPGRADED).unlink(missing_ok=True)
        with store.reporting_disk_errors():
            temporary = folder / f"{UPGRADE}.new"
            temporary.write_bytes(upgrade.dump())
            temporary.replace(folder / UPGRADE)
        with step.phase("restarting the camera", "camera restarted"):
            upgraded = await_restart(store, camera, RESTART)
        reason = load_json((folder / UPGRADED).read_bytes())
        refused = reason.get("refused") if isinstance(reason, dict) else "it did not say how it went"
        if refused:
            raise DeviceError(
                f"{name} stays {camera.profile}: {refused}",
                hint="an upgrade is undone when an installed app does not fit: uninstall it, or install one that does",
            )
        step.note(f"{camera.profile} → {profile.name}")
    return upgraded


def _require_upgrade(camera: VirtualCamera, profile: Profile) -> None:
    before = require_profile(camera.profile)
    if before.architecture != profile.architecture:
        raise UsageError(
            f"{camera.name} is {before.architecture}, and {profile.name} is {profile.architecture}",
            hint="`incamera virtual profiles` lists the profiles of each architecture",
        )
    if _numbers(profile) <= _numbers(before):
        raise UsageError(
            f"{camera.name} is {before.name} already: {profile.name} is no upgrade",
            hint=f"start a new camera with `incamera virtual start {profile.name}`",
        )
    if not camera.url:
        raise UsageError(
            f"{camera.name} has no web server, so it has no apps that an upgrade keeps",
            hint=f"start one with `incamera virtual start {camera.profile} --web --new`",
        )


def _numbers(profile: Profile) -> tuple[int, ...]:
    return tuple(map(int, profile.version.split(".")))
