"""Choose the device that a command is about: a virtual camera or one of the user's cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.device.registry import load_routes, require_device, require_web_device
from incamera.errors import UsageError
from incamera.targets.profile import default_profile, load_profiles, require_profile
from incamera.transport.device import Device, SshAddress
from incamera.vapix.address import WebAddress, WebDevice
from incamera.virtual.camera import find_camera, list_cameras

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.targets.profile import Profile
    from incamera.targets.target import Target
    from incamera.virtual.camera import VirtualCamera

_ADD_WEB = "add a camera with `incamera device add NAME https://HOST`"


def devices_folder(context: Context) -> Path:
    """Return the folder of the store that keeps the user's devices and their host keys."""
    return context.store.root / "devices"


def choose_device(
    context: Context, name: str | None, *, project: Project | None = None, target: Target | None = None
) -> Device:
    """Return the device called *name*: a running virtual camera, a profile, or a camera of the user.

    For a profile, a virtual camera is started unless one runs. When *name* is None, the variable INCAMERA_DEVICE names
    the device, else the project's setting. When neither does, the device is a virtual camera for *target*, or for the
    project's first target. Raises UsageError for an unknown name.
    """
    origin = ""
    if not name and (name := context.environment.get("INCAMERA_DEVICE")):
        origin = ", which INCAMERA_DEVICE names"
    elif not name and project is not None and (name := project.device):
        origin = ", which tool.incamera.device names"
    if not name:
        if target is None and project is not None:
            target = project.default_targets[0]
        return ensure_virtual(context, default_profile(target.architecture) if target else default_profile())
    if camera := find_virtual(context, name):
        return virtual_device(camera)
    if name in load_profiles():
        return ensure_virtual(context, require_profile(name))
    others = [*(camera.name for camera in list_cameras(context.store)), *load_profiles()]
    return require_device(devices_folder(context), name, others=dict.fromkeys(others), origin=origin)


def require_running(context: Context, name: str | None, *, project: Project | None = None) -> Device:
    """Return the device that `choose_device` would choose. No virtual camera is started: a new one has nothing in it.

    Raises UsageError for an unknown name, and where a virtual camera would have to be started.
    """
    if (device := find_device(context, name, project=project)) is not None:
        return device
    others = [*(camera.name for camera in list_cameras(context.store)), *sorted(load_routes(devices_folder(context)))]
    raise UsageError(
        f"the virtual camera {_meant(context, name, project) or _default_of(project).name} is not running",
        hint=f"choose one with --device: {', '.join(others)}" if others else "`incamera run` starts it",
    )


def choose_web_device(
    context: Context, name: str | None, *, project: Project | None = None, start: bool = False
) -> WebDevice:
    """Return the camera called *name*, whose web server is meant: a running virtual camera, a profile, or the user's.

    When *name* is None, the variable INCAMERA_DEVICE names it, else the project's setting. With *start*, a virtual
    camera is started for a profile unless one runs. Raises UsageError when no camera is named, for an unknown name, and
    for a virtual camera that has no web server or does not run.
    """
    origin = ""
    if not name and (name := context.environment.get("INCAMERA_DEVICE")):
        origin = ", which INCAMERA_DEVICE names"
    elif not name and project is not None and (name := project.device):
        origin = ", which tool.incamera.device names"
    if not name:
        known = [name for name, routes in load_routes(devices_folder(context)).items() if routes.web]
        raise UsageError(
            "this command needs to know which camera is meant",
            hint=f"choose one with --device: {', '.join(known)}" if known else _ADD_WEB,
        )
    if camera := find_virtual(context, name):
        return virtual_web_device(camera, origin=origin)
    if name in load_profiles():
        return _web_device_of_profile(context, require_profile(name), start=start, origin=origin)
    return require_web_device(devices_folder(context), name, origin=origin)


def is_web_alone(context: Context, name: str | None, *, project: Project | None = None) -> bool:
    """Return whether the device that `choose_device` would choose has the address of a web server, and none for SSH."""
    meant = _meant(context, name, project) or ""
    if meant and (camera := find_virtual(context, meant)):
        return not camera.ssh_user
    if meant in load_profiles():
        return not require_profile(meant).has_root_login
    routes = load_routes(devices_folder(context)).get(meant)
    return routes is not None and routes.ssh is None


def _default_of(project: Project | None) -> Profile:
    """Return the profile of the virtual camera that is used where no device is named."""
    return default_profile(project.default_targets[0].architecture) if project else default_profile()


def _meant(context: Context, name: str | None, project: Project | None) -> str | None:
    return name or context.environment.get("INCAMERA_DEVICE") or (project.device if project else None)


def find_device(context: Context, name: str | Device | None, *, project: Project | None) -> Device | None:
    """Return the device that `choose_device` would choose, None where a virtual camera would have to be started.

    Raises UsageError for an unknown name.
    """
    if isinstance(name, Device):
        return name
    meant = _meant(context, name, project)
    if meant and find_virtual(context, meant) is None and meant not in load_profiles():
        return choose_device(context, name, project=project)
    name = meant or _default_of(project).name
    cameras = list_cameras(context.store)
    return next((virtual_device(camera) for camera in cameras if name in (camera.name, camera.profile)), None)


def require_free_name(context: Context, name: str, profile: Profile) -> None:
    """Raise UsageError when a virtual camera of *profile* cannot be called *name*: another device would be hidden."""
    if name in load_profiles() and name != profile.name:
        raise UsageError(
            f"{name} is another profile, so a camera of {profile.name} cannot have that name",
            hint=f"to start that profile, type `incamera virtual start {name}`; else choose another name",
        )
    if name in load_routes(devices_folder(context)):
        raise UsageError(
            f"{name} is a camera that you have added",
            hint=f"choose another name, or remove it first: `incamera device remove {name}`",
        )


def find_virtual(context: Context, name: str) -> VirtualCamera | None:
    """Return the running virtual camera called *name*, None if there is none. Raises DeviceError for a damaged one."""
    return find_camera(context.store, name)


def ensure_virtual(context: Context, profile: Profile) -> Device:
    """Return a running virtual camera of *profile*. One is started if none runs. Raises UsageError without SSH."""
    if not profile.has_root_login:
        raise _no_root_login(profile.name)
    from incamera.virtual.start import ensure_camera  # lazy: it imports what builds a camera's firmware

    camera, _ = ensure_camera(context, profile)
    return virtual_device(camera)


def virtual_device(camera: VirtualCamera) -> Device:
    """Return a virtual camera as a device that can be connected to over SSH. Raises UsageError where nobody can."""
    if not camera.ssh_user:
        raise _no_root_login(camera.name)
    address = SshAddress(
        host=camera.ssh_host,
        port=camera.ssh_port,
        user=camera.ssh_user,
        keys=(camera.key,),
        host_key=camera.host_public_key,
    )
    return Device(name=camera.name, address=address)


def _no_root_login(name: str) -> UsageError:
    return UsageError(
        f"{name} is a virtual camera of an AXIS OS that has no root over SSH, and this command needs that",
        hint=f"`incamera install --device {name}` installs the app as a package",
    )


def virtual_web_device(camera: VirtualCamera, *, origin: str = "") -> WebDevice:
    """Return a virtual camera as a device that is reached through its web server. Raises UsageError without one."""
    if not camera.https_port:
        raise UsageError(
            f"the virtual camera {camera.name}{origin} runs without a web server",
            hint=f"`incamera virtual stop {camera.name}`, then `incamera virtual start {camera.profile} --web`",
        )
    address = WebAddress(
        host="127.0.0.1", port=camera.https_port, certificate=camera.certificate, password_file=str(camera.password)
    )
    return WebDevice(name=camera.name, address=address)


def _web_device_of_profile(context: Context, profile: Profile, *, start: bool, origin: str) -> WebDevice:
    running = [camera for camera in list_cameras(context.store) if camera.profile == profile.name]
    if camera := next((one for one in running if one.https_port), None):
        return virtual_web_device(camera)
    if not start:
        if running:
            return virtual_web_device(running[0], origin=origin)
        option = " --web" if profile.has_root_login else ""
        raise UsageError(
            f"the virtual camera {profile.name}{origin} is not running",
            hint=f"`incamera virtual start {profile.name}{option}` starts it",
        )
    from incamera.virtual.start import ensure_camera  # lazy: it imports what builds a camera's firmware

    camera, _ = ensure_camera(context, profile, web=True)
    return virtual_web_device(camera)
