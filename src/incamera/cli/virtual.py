"""`incamera virtual start|stop|restart|upgrade|list|profiles|sign`, and what apps in virtual cameras learn and draw."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from incamera.console import Console
    from incamera.store import Store
    from incamera.virtual.camera import VirtualCamera
    from incamera.virtual.services import Event, Parameter


_MOST_SECONDS = 3600
_SEVERAL = "several virtual cameras are running"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "virtual",
        help="virtual cameras: start, stop, restart, list, their events, parameters and faults",
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
    start.add_argument(
        "--web",
        action="store_true",
        help="with a web server, as `incamera install` needs it; without root over SSH, a camera always has one",
    )
    start.add_argument(
        "--chip",
        metavar="CHIP",
        help="the chip whose devices for inference it has: artpec-7, artpec-7-tpu, artpec-8, artpec-9, cv25 or cv75 "
        "(default: the processor alone)",
    )
    stop = add_command(actions, "stop", execute_stop, help="stop virtual cameras and delete their files")
    stop.add_argument("names", nargs="*", metavar="NAME", help="the camera (default: the only one that runs)")
    stop.add_argument("--all", action="store_true", help="stop all of them")
    restart = add_command(
        actions, "restart", execute_restart, help="restart a virtual camera; its flash and SD card stay"
    )
    restart.add_argument("name", nargs="?", metavar="NAME", help="the camera (default: the only one that runs)")
    restart.add_argument("--hard", action="store_true", help="as a power cut does: only what was synced stays")
    upgrade = add_command(
        actions,
        "upgrade",
        execute_upgrade,
        help="upgrade a virtual camera to a newer AXIS OS; its apps and settings stay",
        description="Upgrade a virtual camera with a web server to a newer AXIS OS. Its flash and SD card stay. From "
        "AXIS OS 13 on, the upgrade is undone when an installed app does not fit.",
    )
    upgrade.add_argument("profile", metavar="PROFILE", help="the camera and AXIS OS version that it is to imitate")
    upgrade.add_argument("--device", metavar="NAME", help="the virtual camera (default: the only one that runs)")
    add_command(actions, "list", execute_list, help="list the running virtual cameras")
    add_command(
        actions,
        "profiles",
        execute_profiles,
        help="list the profiles: the AXIS OS versions and architectures that can be imitated",
    )

    events = add_command(
        actions, "events", execute_events, help="show the events that apps and the camera have declared"
    )
    events.add_argument("--follow", "-f", action="store_true", help="go on with each event that is sent, until Ctrl-C")
    send = add_command(actions, "send-event", execute_send_event, help="send an event of the camera to its apps")
    send.add_argument("topic", metavar="TOPIC", help="its topic, as tns1:Device/tnsaxis:IO/Port")
    send.add_argument(
        "values", metavar="KEY=VALUE", nargs="*", help="true, false and numbers have their own types, else it is text"
    )
    send.add_argument("--state", action="store_true", help="it is a state: apps that subscribe later get it, too")
    params = add_command(actions, "params", execute_params, help="show the parameters of the apps in a virtual camera")
    change = add_command(actions, "set-param", execute_set_param, help="set parameters of apps, as their users do")
    change.add_argument("changes", metavar="APP.NAME=VALUE", nargs="+", help="set the parameter NAME of APP to VALUE")
    storage = add_command(
        actions, "storage", execute_storage, help="show a virtual camera's storage, pull its SD card, or put it back"
    )
    storage.add_argument(
        "state",
        nargs="?",
        metavar="STATE",
        choices=("there", "exiting", "full", "readonly", "pulled"),
        help="what becomes of the SD card: there, exiting (about to be removed), full, readonly or pulled",
    )
    scene = add_command(
        actions,
        "scene",
        execute_scene,
        help="show or choose what a virtual camera sees: the known scene or a video of this computer",
        description="Show or choose what a virtual camera sees: the known scene, or a video, a picture or a folder of "
        "pictures of this computer. A video is played again and again, also after the camera restarts. Needs PyAV.",
    )
    scene.add_argument(
        "scene",
        nargs="?",
        metavar="VIDEO|known",
        help="a file or a folder; known is the known scene (default: show it)",
    )
    fault = add_command(
        actions,
        "fault",
        execute_fault,
        help="set and clear faults, which the apps in a virtual camera meet",
        description="Set and clear faults, which the apps in a virtual camera meet. They end when the camera restarts.",
    )
    fault.add_argument(
        "action",
        metavar="list|set|clear",
        choices=("list", "set", "clear"),
        help="list all faults, or set or clear those that are named; clear without a name clears all",
    )
    fault.add_argument("faults", metavar="FAULT[=VALUE]", nargs="*", help="as no-power or dropped-frames=3")
    picture = add_command(
        actions, "overlay-picture", execute_overlay_picture, help="save the picture with what the apps draw over it"
    )
    picture.add_argument("file", metavar="FILE", type=Path, help="where to write it, as JPEG")
    picture.add_argument(
        "--timeout", metavar="N", type=_seconds, default=30, help="how many seconds to wait for a drawing (default: 30)"
    )
    sign = add_command(
        actions,
        "sign",
        execute_sign,
        help="sign a package for virtual cameras, which take no other as AXIS OS 13",
        description="Sign a package with the key that stands for Axis' own in this computer's virtual cameras. Real "
        "cameras refuse the signed package: `incamera package` tells who signs for them.",
    )
    sign.add_argument("file", metavar="FILE", type=Path, help="the .eap file, which stays as it is")
    sign.add_argument(
        "--output", "-o", metavar="FILE", type=Path, help="where to write it (default: beside it, as NAME_signed.eap)"
    )
    for parser in (events, send, params, change, storage, scene, fault, picture):
        parser.add_argument("--device", metavar="NAME", help="the virtual camera (default: the only one that runs)")


def execute_start(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.connect.choose import require_free_name  # lazy: start-up
    from incamera.context import Context
    from incamera.targets.profile import default_profile, require_profile
    from incamera.virtual.camera import Extras
    from incamera.virtual.chips import require_chip
    from incamera.virtual.ssh_server import SshServer
    from incamera.virtual.start import ensure_camera, start_virtual

    context = Context.open(console)
    profile = require_profile(arguments.profile) if arguments.profile else default_profile()
    if arguments.name:
        require_free_name(context, arguments.name, profile)
    chip = require_chip(arguments.chip, profile) if arguments.chip else None
    server = SshServer(arguments.ssh_server) if arguments.ssh_server else None
    if arguments.new:
        camera = start_virtual(
            context,
            profile,
            name=arguments.name,
            ssh_server=server or SshServer.dropbear,
            web=arguments.web,
            extras=Extras(chip=chip),
        )
        already = False
    else:
        camera, already = ensure_camera(
            context, profile, name=arguments.name, ssh_server=server, web=arguments.web, chip=chip
        )
    if arguments.json:
        how = {"already": already, "resumed": camera.resumed, "seconds": round(camera.seconds, 3)}
        console.emit({**_describe(camera), **how})
    else:
        name = camera.name
        state = f"is running already ({camera.profile}, {_login(camera)})" if already else "is running"
        console.paragraph(f"{name} {state}; use it with --device {name}, stop it with `incamera virtual stop {name}`")
        if camera.url:
            console.paragraph(
                f"its web server is {camera.url}; its account is root, with the password in {camera.password}"
            )
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
    if arguments.names == ["all"] and "all" not in running:
        raise UsageError('no virtual camera called "all" is running', hint="--all stops all of them")
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
    from incamera.virtual.camera import restart_camera

    store = Context.open(console).store
    name = arguments.name or _only_camera(store, "virtual restart {}")
    camera = restart_camera(store, name, power_cut=arguments.hard)
    if arguments.json:
        console.emit({**_describe(camera), "restarts": camera.restarts})
    else:
        console.print(f"{camera.name} has restarted; its flash and SD card are as they were, its RAM is empty")
    return 0


def _only_camera(store: Store, command: str) -> str:
    """Return the name of the only camera that runs. With several, *command* is shown with the name of one of them."""
    from incamera.errors import DeviceError, UsageError  # lazy: start-up
    from incamera.virtual.camera import list_cameras

    running = [camera.name for camera in list_cameras(store)]
    if not running:
        raise DeviceError("no virtual camera is running", hint="start one with `incamera virtual start`")
    if len(running) > 1:
        hint = f"name one, as in `incamera {command.format(running[0])}`"
        raise UsageError(f"{_SEVERAL}: {', '.join(running)}", hint=hint)
    return running[0]


def execute_upgrade(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.targets.profile import require_profile
    from incamera.virtual.upgrade import upgrade_camera

    context = Context.open(console)
    profile = require_profile(arguments.profile)
    name = arguments.device or _only_camera(context.store, f"virtual upgrade {profile.name} --device {{}}")
    camera = upgrade_camera(context, name, profile)
    if arguments.json:
        console.emit({**_describe(camera), "restarts": camera.restarts})
    else:
        console.paragraph(f"{camera.name} is {camera.profile} now; its apps and settings are as they were")
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
        rows = [
            (c.name, f"{c.profile}, {c.chip}" if c.chip else c.profile, _state(c), _login(c), str(c.pid))
            for c in cameras
        ]
        if rows:
            console.table(("NAME", "PROFILE", "STATE", "ADDRESS", "PROCESS"), rows)
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


def execute_sign(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.errors import StoreError
    from incamera.virtual.signing import sign_package

    package: Path = arguments.file
    signed = arguments.output or package.with_name(f"{package.stem}_signed{package.suffix}")
    try:
        key = sign_package(Context.open(console).store, package, signed)
    except OSError as error:
        raise StoreError(f"cannot write {signed}: {error.strerror}", hint="name another file with --output") from error
    if arguments.json:
        console.emit({"file": str(signed), "key": key})
    else:
        console.paragraph(f"{signed} is signed for this computer's virtual cameras; real cameras refuse it")
    return 0


def execute_events(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.virtual_services import follow_events, open_virtual, read_declared

    with open_virtual(Context.open(console), arguments.device) as (name, session):
        declared = read_declared(session)
        if not arguments.json:
            rows = [(event.topic, "state" if event.is_state else "pulse", _values(event)) for event in declared]
            if rows:
                console.table(("TOPIC", "KIND", "VALUES"), rows)
            else:
                console.paragraph(f"no event is declared in {name}")
        elif not arguments.follow:
            console.emit({"device": name, "events": [_describe_event(event) for event in declared]})
        for event in follow_events(session) if arguments.follow else ():
            if arguments.json:
                console.emit({"device": name, "events": [_describe_event(event)]})
            else:
                console.print(f"{event.topic} {_values(event)}".rstrip())
    return 0


def execute_send_event(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.errors import UsageError
    from incamera.virtual.services import parse_value
    from incamera.workflows.virtual_services import open_virtual, send_event

    data = {}
    for word in arguments.values:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f'"{word}" gives no value', hint="write KEY=VALUE")
        data[key] = parse_value(value)
    with open_virtual(Context.open(console), arguments.device) as (name, session):
        event = send_event(session, arguments.topic, data, is_state=arguments.state)
    if arguments.json:
        console.emit({"device": name, "event": _describe_event(event)})
    else:
        console.print(f"sent {event.topic} {_values(event)}".rstrip())
    return 0


def execute_params(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.virtual_services import open_virtual, read_parameters

    with open_virtual(Context.open(console), arguments.device) as (name, session):
        parameters = read_parameters(session)
    _show_parameters(console, name, parameters, json=arguments.json)
    return 0


def execute_set_param(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.virtual_services import open_virtual, set_parameters

    with open_virtual(Context.open(console), arguments.device) as (name, session):
        parameters = set_parameters(session, arguments.changes)
    _show_parameters(console, name, parameters, json=arguments.json)
    return 0


def execute_storage(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.units import format_bytes
    from incamera.virtual.faults import StorageState
    from incamera.workflows.virtual_faults import change_card, read_storages
    from incamera.workflows.virtual_services import open_virtual

    with open_virtual(Context.open(console), arguments.device) as (name, session):
        state = StorageState(arguments.state) if arguments.state else None
        storages = change_card(session, state) if state else read_storages(session)
    if arguments.json:
        documents = [
            {"name": one.name, "state": one.state, "bytes": one.size << 10, "free_bytes": one.free << 10}
            for one in storages
        ]
        console.emit({"device": name, "storages": documents})
    else:
        rows = [(one.name, one.state, format_bytes(one.size << 10), format_bytes(one.free << 10)) for one in storages]
        console.table(("STORAGE", "STATE", "SIZE", "FREE"), rows)
    return 0


def execute_scene(arguments: argparse.Namespace, console: Console) -> int:
    from dataclasses import asdict  # lazy: start-up

    from incamera.context import Context
    from incamera.virtual.camera import camera_folder
    from incamera.workflows.virtual_scene import describe_video, read_scene, show_known_scene, show_video
    from incamera.workflows.virtual_services import open_virtual

    context = Context.open(console)
    source = None if arguments.scene in (None, "known") else Path(arguments.scene)
    facts = describe_video(source) if source else None
    with open_virtual(context, arguments.device) as (name, session):
        folder = camera_folder(context.store, name)
        if source:
            show_video(session, folder, source)
        elif arguments.scene:
            show_known_scene(session, folder)
        seen = read_scene(folder)
    if arguments.json:
        console.emit(
            {
                "device": name,
                "scene": "video" if seen.source else "known",
                "source": str(seen.source) if seen.source else None,
                "error": seen.error,
                "video": asdict(facts) if facts else None,
            }
        )
    elif seen.error:
        console.paragraph(f"{name} sees the known scene instead of {seen.source}: {seen.error}")
    else:
        console.paragraph(f"{name} sees {seen.source or 'the known scene'}")
    return 0


def execute_fault(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.errors import UsageError
    from incamera.virtual.faults import FAULTS
    from incamera.workflows.virtual_faults import clear_faults, read_faults, set_faults
    from incamera.workflows.virtual_services import open_virtual

    if arguments.action == "list" and arguments.faults:
        raise UsageError(f"list and {arguments.faults[0]}: list shows all faults", hint="leave out the name")
    with open_virtual(Context.open(console), arguments.device) as (name, session):
        changed = []
        if arguments.action == "set":
            changed = set_faults(session, arguments.faults)
        elif arguments.action == "clear":
            changed = clear_faults(session, arguments.faults)
        are_set = {one.fault.name: one.value for one in read_faults(session)}
    if arguments.json:
        documents = [
            {"name": one.name, "set": one.name in are_set, "value": are_set.get(one.name), "about": one.about}
            for one in FAULTS.values()
        ]
        console.emit({"device": name, "faults": documents})
    elif arguments.action == "list":
        rows = [(one.name, _shown(one.name, are_set), one.about) for one in FAULTS.values()]
        console.table(("FAULT", "SET", "MEANING"), rows)
    elif arguments.action == "set":
        for one in changed:
            value = "" if one.value is None else f"={one.value}"
            console.print(f"{one.fault.name}{value}: {one.fault.about}")
    else:
        console.print("cleared " + ", ".join(one.fault.name for one in changed) if changed else "no fault was set")
    return 0


def _shown(fault: str, are_set: Mapping[str, int | None]) -> str:
    if fault not in are_set:
        return ""
    return "set" if are_set[fault] is None else str(are_set[fault])


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds up to {_MOST_SECONDS}')
    return seconds


def execute_overlay_picture(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.disk import write_output
    from incamera.units import format_bytes
    from incamera.workflows.virtual_faults import take_picture
    from incamera.workflows.virtual_services import open_virtual

    with open_virtual(Context.open(console), arguments.device) as (name, session):
        picture = take_picture(session, timeout=arguments.timeout)
    write_output(arguments.file, picture)
    if arguments.json:
        console.emit({"device": name, "file": str(arguments.file), "bytes": len(picture)})
    else:
        console.print(f"{arguments.file}: {format_bytes(len(picture))}")
    return 0


def _show_parameters(console: Console, name: str, parameters: Sequence[Parameter], *, json: bool) -> None:
    if json:
        documents = [{"app": p.app, "name": p.name, "value": p.value, "type": p.type} for p in parameters]
        console.emit({"device": name, "params": documents})
    elif parameters:
        console.table(
            ("PARAMETER", "VALUE", "TYPE"), [(f"{one.app}.{one.name}", one.value, one.type) for one in parameters]
        )
    else:
        console.paragraph(f"no app has parameters in {name}")


def _values(event: Event) -> str:
    from json import dumps  # lazy: start-up

    return " ".join(f"{key}={dumps(value, ensure_ascii=False)}" for key, value in event.data.items())


def _describe_event(event: Event) -> dict[str, Any]:
    return {
        "topic": event.topic,
        "time": event.time,
        "kind": "state" if event.is_state else "pulse",
        "data": dict(event.data),
    }


def _state(camera: VirtualCamera) -> str:
    return "paused" if camera.paused else "running"


def _login(camera: VirtualCamera) -> str:
    ssh = [f"{camera.ssh_user}@{camera.ssh_host}:{camera.ssh_port}"] if camera.ssh_user else []
    return " ".join([*ssh, *([camera.url] if camera.url else [])])


def _describe(camera: VirtualCamera) -> dict[str, Any]:
    return {
        "name": camera.name,
        "profile": camera.profile,
        "chip": camera.chip or None,
        "state": _state(camera),
        "used_by": camera.used_by,
        "ssh": {
            "host": camera.ssh_host,
            "port": camera.ssh_port,
            "user": camera.ssh_user or None,
            "key": str(camera.key) if camera.ssh_user else None,
            "server": camera.ssh_server,
        },
        "http": {
            "url": camera.url,
            "http_url": f"http://127.0.0.1:{camera.http_port}" if camera.http_port else None,
            "certificate": camera.certificate,
            "user": "root",
            "password_file": str(camera.password),
        }
        if camera.url
        else None,
    }
