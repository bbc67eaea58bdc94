"""`incamera device add|list|discover|info|remove|clean`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command
from incamera.units import format_count

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.context import Context
    from incamera.device.capabilities import Speed
    from incamera.device.facts import Place
    from incamera.vapix.address import WebDevice
    from incamera.vapix.device_info import DeviceInfo


_SECONDS, _MOST_SECONDS = 3.0, 60


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("device", help="your cameras: add, list, inspect", description="Your cameras.")
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    add = add_command(
        actions,
        "add",
        execute_add,
        help="add a camera under a name",
        description="Add a camera under a name, with its address for SSH or that of its web server; one name can have "
        "both. incamera connects to it and asks you to accept its host key or its certificate. A web server also needs "
        "a password, which incamera never writes to a file.",
    )
    add.add_argument("name", metavar="NAME", help="a Host of ~/.ssh/config, or any name if ADDRESS is given")
    add.add_argument(
        "address",
        metavar="ADDRESS",
        nargs="?",
        help="[USER@]HOST[:PORT] for SSH, https://[USER@]HOST[:PORT] for its web server",
    )
    add.add_argument(
        "--accept-key",
        metavar="FINGERPRINT",
        help="accept the host key, or the certificate, with this SHA256 fingerprint",
    )
    add.add_argument(
        "--password-command",
        metavar="COMMAND",
        help="a command that prints the password for the web server; its first line counts, and no shell runs it",
    )
    add_command(actions, "list", execute_list, help="list your cameras and the running virtual ones")
    found = add_command(
        actions,
        "discover",
        execute_discover,
        help="look for cameras in the local network",
        description="Look for cameras in the local network, by multicast DNS. Whatever answers is shown as it says "
        "itself, and nothing connects to it: `incamera device add` shows the certificate.",
    )
    found.add_argument(
        "--seconds", metavar="N", type=_parse_seconds, default=_SECONDS, help="how long to wait (default: %(default)s)"
    )
    found.add_argument(
        "--interface",
        dest="interfaces",
        metavar="NAME",
        action="append",
        help="look there only, e.g. eth0 (default: all network interfaces). May be repeated",
    )
    info = add_command(
        actions, "info", execute_info, help="show a camera's architecture, C library, places and libraries"
    )
    info.add_argument(
        "name", metavar="NAME", nargs="?", help="the camera (default: INCAMERA_DEVICE, else a virtual camera)"
    )
    info.add_argument(
        "--no-speed",
        dest="speed",
        action="store_false",
        help="do not measure the speed of the places, so write nothing to them",
    )
    remove = add_command(
        actions, "remove", execute_remove, help="remove a camera, and its host key or certificate, from the list"
    )
    remove.add_argument("name", metavar="NAME", help="the camera")
    clean = add_command(
        actions,
        "clean",
        execute_clean,
        help="show what incamera has left in a camera, and remove it",
        description="Show what incamera has left in a camera, and remove it. What runs stays, and so does the apps' "
        "data, unless --data is given.",
    )
    clean.add_argument(
        "name", metavar="NAME", nargs="?", help="the camera (default: INCAMERA_DEVICE, else a virtual camera)"
    )
    clean.add_argument("--app", metavar="APP", help="only what is of this app")
    clean.add_argument("--data", action="store_true", help="also remove what apps keep in their data folders")
    clean.add_argument("--dry-run", action="store_true", help="show it only")
    clean.add_argument("-y", "--yes", action="store_true", help="do not ask first")


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds up to {_MOST_SECONDS}')
    return seconds


def execute_discover(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.discover import discover_cameras

    cameras = discover_cameras(Context.open(console), arguments.seconds, arguments.interfaces)
    if arguments.json:
        rows = [
            {
                "name": camera.answer.name,
                "address": camera.answer.address,
                "port": camera.answer.port,
                "host": camera.answer.host or None,
                "serial": camera.answer.serial or None,
                "devices": list(camera.devices),
            }
            for camera in cameras
        ]
        console.emit({"cameras": rows})
    elif not cameras:
        console.paragraph("no camera has answered; those behind a router, or with Bonjour switched off, do not")
    else:
        console.table(
            ("NAME", "ADDRESS", "SERIAL", "ADDED AS"),
            [
                (camera.answer.name, camera.answer.address, camera.answer.serial, ", ".join(camera.devices))
                for camera in cameras
            ],
        )
    return 0


def execute_add(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.errors import UsageError
    from incamera.vapix.address import is_url
    from incamera.workflows.devices import add_device

    if arguments.address and is_url(arguments.address):
        return _add_web(arguments, console)
    if arguments.password_command:
        raise UsageError(
            "--password-command is for the address of a web server",
            hint="over SSH, incamera uses keys, never passwords",
        )
    device, facts = add_device(
        Context.open(console), arguments.name, arguments.address, accept_key=arguments.accept_key
    )
    if arguments.json:
        console.emit({"device": device.name, "facts": facts.to_json()})
    else:
        console.paragraph(f"{device.name}: {facts.architecture}, {facts.system}, glibc {facts.libc or 'unknown'}")
    return 0


def _add_web(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.web_devices import add_web_device

    device, info = add_web_device(
        Context.open(console),
        arguments.name,
        arguments.address,
        accept_key=arguments.accept_key,
        password_command=arguments.password_command,
    )
    if arguments.json:
        console.emit(_describe_web(device, info))
    else:
        console.paragraph(f"{device.name}: {info.name or info.number}, AXIS OS {info.version}, {info.architecture}")
    return 0


def _describe_web(device: WebDevice, info: DeviceInfo) -> dict[str, Any]:
    return {
        "device": device.name,
        "url": device.address.url,
        "user": device.address.user,
        "certificate": device.address.certificate,
        "product": info.number,
        "axis_os": info.version,
        "architecture": info.architecture,
    }


def execute_list(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.devices import list_devices

    devices = list_devices(Context.open(console))
    if arguments.json:
        rows = [
            {
                "name": d.name,
                "host": d.address.host,
                "port": d.address.port,
                "user": d.address.user,
                "virtual": virtual,
                "route": d.address.route,
            }
            for d, virtual in devices
        ]
        console.emit({"devices": rows})
    elif not devices:
        console.paragraph("no devices; add one with `incamera device add NAME`, or use a virtual camera")
    else:
        console.table(
            ("NAME", "ADDRESS", "KIND"),
            [(d.name, str(d.address), "virtual" if virtual else "camera") for d, virtual in devices],
        )
    return 0


def execute_info(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.connect.choose import is_web_alone  # lazy: start-up
    from incamera.context import Context
    from incamera.units import format_bytes
    from incamera.workflows.devices import inspect_device

    context = Context.open(console)
    if is_web_alone(context, arguments.name):
        return _show_web(arguments, context, console)
    report = inspect_device(context, arguments.name, speed=arguments.speed)
    facts = report.facts
    if arguments.json:
        places = [
            {
                "path": place.path,
                "kind": place.kind,
                "verdict": report.verdict(place),
                "write_bytes_per_second": report.speed(place).write,
                "read_bytes_per_second": report.speed(place).read,
            }
            for place in facts.places
        ]
        forms = sorted(report.forms)
        console.emit({"device": report.device.name, "facts": facts.to_json(), "forms": forms, "places": places})
        return 0
    console.paragraph(
        f"{report.device.name} ({facts.hostname}): {facts.architecture}, Linux {facts.kernel}, {facts.system}"
    )
    libraries = format_count(len(facts.libraries), "library")
    console.paragraph(f"glibc {facts.libc or 'unknown'}, {libraries}, logged in as {facts.user}")
    console.paragraph(f"RAM {format_bytes(facts.memory)}, {format_bytes(facts.memory_available)} of it free")
    console.paragraph("bundles start from: " + ", ".join(sorted(report.forms)))
    rates = ("WRITE", "READ") if arguments.speed else ()
    console.table(
        ("KIND", "PLACE", "FILE SYSTEM", "FREE", *rates, "EXEC", "VERDICT"),
        [
            (
                place.kind,
                place.path,
                place.filesystem,
                "?" if place.free is None else format_bytes(place.free),
                *(_rates(place, report.speed(place)) if arguments.speed else ()),
                "yes" if place.executable else "no",
                report.verdict(place),
            )
            for place in facts.places
        ],
    )
    return 0


def _show_web(arguments: argparse.Namespace, context: Context, console: Console) -> int:
    from incamera.cli.status import describe_application, show_status  # lazy: start-up
    from incamera.connect.choose import choose_web_device
    from incamera.units import format_age
    from incamera.workflows.web_devices import inspect_web_device

    report = inspect_web_device(context, choose_web_device(context, arguments.name))
    info, state = report.status.info, report.state
    if arguments.json:
        console.emit(
            {
                **_describe_web(report.device, info),
                "soc": info.soc,
                "serial": info.serial,
                "ready": state.is_ready if state else None,
                "uptime": state.uptime if state else None,
                "takes_unsigned": report.status.takes_unsigned,
                "apps": [describe_application(app) for app in report.status.applications],
                "apis": [{"id": api.id, "version": api.version, "status": api.status} for api in report.apis],
            }
        )
        return 0
    show_status(console, str(report.device), report.status)
    more = [info.soc, f"serial number {info.serial}" if info.serial else ""]
    if state is not None and state.uptime is not None:
        more.append(f"started {format_age(state.uptime)} ago")
    console.paragraph(", ".join(filter(None, more)))
    console.paragraph(f"APIs: {', '.join(f'{api.id} {api.version}' for api in report.apis)}")
    return 0


def execute_clean(arguments: argparse.Namespace, console: Console) -> int:
    import time  # lazy: start-up

    from incamera.context import Context
    from incamera.errors import UsageError
    from incamera.units import format_age, format_bytes
    from incamera.workflows.clean import find_items, remove_items, total
    from incamera.workflows.top import device_connection

    with device_connection(Context.open(console), arguments.name, None) as connection:
        items = find_items(connection, app=arguments.app, data=arguments.data)
        device = str(connection.device)
        goes = [item for item in items if not item.kept]
        # An app that has nothing there may be misspelled.
        misspelled = arguments.app is not None and not items
        others = {item.app for item in find_items(connection, app=None, data=False)} if misspelled else set()
        if items and not arguments.json:
            now = time.time()
            console.table(
                ("FOLDER", "WHAT", "APP", "SIZE", "AGE", ""),
                [
                    (
                        item.path,
                        item.kind,
                        item.app or "-",
                        format_bytes(item.size),
                        format_age(now - item.changed),
                        f"stays: {item.kept}" if item.kept else "",
                    )
                    for item in sorted(items, key=lambda item: (item.place, item.kind, item.path))
                ],
            )
            for place in sorted({item.place for item in items}):
                there = [item for item in items if item.place == place]
                console.print(f"{place}: {format_count(len(there), 'folder')}, {format_bytes(total(there))}")
        question = f"remove {format_count(len(goes), 'folder')}, {format_bytes(total(goes))}, from {device}?"
        removed = []
        if goes and not arguments.dry_run:
            if not arguments.yes and not console.can_ask:
                raise UsageError("nobody can be asked here", hint="--yes removes it, --dry-run shows it only")
            if arguments.yes or console.confirm(question):
                removed = remove_items(connection, items)
    if arguments.json:
        gone = {item.path for item in removed}
        rows = [
            {
                "kind": item.kind,
                "app": item.app or None,
                "place": item.place,
                "path": item.path,
                "bytes": item.size,
                "changed": item.changed,
                "kept": item.kept or None,
                "removed": item.path in gone,
            }
            for item in items
        ]
        console.emit({"device": device, "items": rows, "removed_bytes": total(removed)})
    elif removed:
        console.info(f"removed {format_bytes(total(removed))} from {device}")
    elif not goes:
        of = f" of {arguments.app}" if misspelled else ""
        console.info(f"nothing{of} to remove from {device}")
        if apps := sorted(others - {""}):
            console.info(f"apps that have something there: {', '.join(apps)}")
        if any("run" in item.kept for item in items):
            console.info("`incamera ps` shows what runs; `incamera connections close` ends what waits for the next run")
    return 0


def _rates(place: Place, speed: Speed) -> tuple[str, str]:
    return _rate(speed.write) if place.writable else "no", _rate(speed.read)


def _rate(bytes_per_second: int | None) -> str:
    from incamera.units import format_bytes  # lazy: start-up

    return "?" if bytes_per_second is None else f"{format_bytes(bytes_per_second)}/s"


def execute_remove(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.devices import remove_device

    remove_device(Context.open(console), arguments.name)
    if arguments.json:
        console.emit({"removed": arguments.name})
    else:
        console.paragraph(f"removed {arguments.name}, and its host key or certificate")
    return 0
