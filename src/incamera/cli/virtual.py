"""`incamera virtual start|stop|restart|list|profiles`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.virtual.camera import VirtualCamera


_SEVERAL = "several virtual cameras are running"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "virtual",
        help="virtual cameras: start, stop, restart, list",
        description="Virtual cameras, run by QEMU, reachable on this computer only.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    start = add_command(actions, "start", execute_start, help="start a virtual camera, which runs until it is stopped")
    start.add_argument(
        "profile",
        nargs="?",
        metavar="PROFILE",
        help="the camera and AXIS OS version to imitate (see `virtual profiles`)",
    )
    start.add_argument("--name", help="the camera's name (default: the profile's)")
    start.add_argument("--new", action="store_true", help="start one more, even if one of that profile runs")
    start.add_argument(
        "--ssh-server",
        choices=("dropbear", "openssh"),
        help="the camera's SSH server (default: dropbear)",
    )
    stop = add_command(actions, "stop", execute_stop, help="stop virtual cameras and delete their files")
    stop.add_argument("names", nargs="*", metavar="NAME", help="the camera (default: the only one that runs)")
    stop.add_argument("--all", action="store_true", help="stop all of them")
    restart = add_command(
        actions, "restart", execute_restart, help="restart a virtual camera; its flash and SD card stay"
    )
    restart.add_argument("name", nargs="?", metavar="NAME", help="the camera (default: the only one that runs)")
    restart.add_argument("--hard", action="store_true", help="as a power cut does: only what was synced stays")
    add_command(actions, "list", execute_list, help="list the running virtual cameras")
    add_command(
        actions,
        "profiles",
        execute_profiles,
        help="list the profiles: the AXIS OS versions and architectures that can be imitated",
    )


def execute_start(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.connect.choose import require_free_name  # lazy: start-up
    from incamera.context import Context
    from incamera.targets.profile import default_profile, require_profile
    from incamera.virtual.ssh_server import SshServer
    from incamera.virtual.start import ensure_camera, start_virtual

    context = Context.open(console)
    profile = require_profile(arguments.profile) if arguments.profile else default_profile()
    if arguments.name:
        require_free_name(context, arguments.name, profile)
    server = SshServer(arguments.ssh_server) if arguments.ssh_server else None
    if arguments.new:
        camera = start_virtual(context, profile, name=arguments.name, ssh_server=server or SshServer.dropbear)
        already = False
    else:
        camera, already = ensure_camera(context, profile, name=arguments.name, ssh_server=server)
    if arguments.json:
        how = {"already": already, "resumed": camera.resumed, "seconds": round(camera.seconds, 3)}
        console.emit({**_describe(camera), **how})
    else:
        name = camera.name
        state = f"is running already ({camera.profile}, {_login(camera)})" if already else "is running"
        console.paragraph(f"{name} {state}; use it with --device {name}, stop it with `incamera virtual stop {name}`")
        if already and not arguments.name:
            console.paragraph("start one more with `incamera virtual start --new`")
    return 0


def execute_stop(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.errors import UsageError
    from incamera.virtual.camera import damaged_cameras, list_cameras, stop_camera

    if arguments.all and arguments.names:
        raise UsageError(
            f"--all and {arguments.names[0]}: stop all virtual cameras, or those that are named?",
            hint="leave out one of them",
        )
    store = Context.open(console).store
    running = [*(camera.name for camera in list_cameras(store)), *damaged_cameras(store)]
    names = running if arguments.all else arguments.names or running
    if not arguments.all and not arguments.names and len(running) > 1:
        raise UsageError(
            f"{_SEVERAL}: {', '.join(running)}",
            hint=f"name one, as in `incamera virtual stop {running[0]}`, or stop all of them with --all",
        )
    for name in names:
        stop_camera(store, name)
    if arguments.json:
        console.emit({"stopped": names})
    else:
        console.paragraph("stopped " + ", ".join(names) if names else "no virtual camera was running")
    return 0


def execute_restart(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.errors import DeviceError, UsageError
    from incamera.virtual.camera import list_cameras, restart_camera

    store = Context.open(console).store
    running = [camera.name for camera in list_cameras(store)]
    if not arguments.name and len(running) > 1:
        hint = f"name one, as in `incamera virtual restart {running[0]}`"
        raise UsageError(f"{_SEVERAL}: {', '.join(running)}", hint=hint)
    if not arguments.name and not running:
        raise DeviceError("no virtual camera is running", hint="start one with `incamera virtual start`")
    camera = restart_camera(store, arguments.name or running[0], power_cut=arguments.hard)
    if arguments.json:
        console.emit({**_describe(camera), "restarts": camera.restarts})
    else:
        console.print(f"{camera.name} has restarted; its flash and SD card are as they were, its RAM is empty")
    return 0


def execute_list(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.virtual.camera import damaged_cameras, damaged_record, list_cameras

    store = Context.open(console).store
    cameras = list_cameras(store)
    damaged = damaged_cameras(store)
    for name in damaged:
        error = damaged_record(name)
        console.warn(f"{error}; {error.hint}")
    if arguments.json:
        console.emit({"cameras": [_describe(camera) for camera in cameras]})
    elif not cameras and not damaged:
        console.paragraph("no virtual camera is running; start one with `incamera virtual start`")
    else:
        rows = [(c.name, c.profile, _state(c), _login(c), str(c.pid)) for c in cameras]
        if rows:
            console.table(("NAME", "PROFILE", "STATE", "SSH", "PROCESS"), rows)
    return 0


def execute_profiles(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.targets.profile import default_profile, load_profiles  # lazy: start-up

    profiles = list(load_profiles().values())
    if arguments.json:
        documents = [
            {"name": p.name, "architecture": p.architecture, "axis_os": p.version, "glibc": p.glibc} for p in profiles
        ]
        console.emit({"profiles": documents, "default": default_profile().name})
    else:
        rows = [
            (p.name, p.architecture, p.version, p.glibc, "default" if p == default_profile() else "") for p in profiles
        ]
        console.table(("PROFILE", "ARCHITECTURE", "AXIS OS", "GLIBC", ""), rows)
    return 0


def _state(camera: VirtualCamera) -> str:
    return "paused" if camera.paused else "running"


def _login(camera: VirtualCamera) -> str:
    return f"{camera.ssh_user}@{camera.ssh_host}:{camera.ssh_port}"


def _describe(camera: VirtualCamera) -> dict[str, Any]:
    return {
        "name": camera.name,
        "profile": camera.profile,
        "state": _state(camera),
        "used_by": camera.used_by,
        "ssh": {
            "host": camera.ssh_host,
            "port": camera.ssh_port,
            "user": camera.ssh_user,
            "key": str(camera.key),
            "server": camera.ssh_server,
        },
        "http": None,
    }
