"""`incamera status`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_project_option, add_web_device_option

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.vapix.applications import Application
    from incamera.workflows.installed import Status


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "status",
        execute,
        help="show what a camera is, and the apps installed in it",
        description="Show what a camera is, the apps that are installed in it, and whether it takes unsigned packages.",
    )
    add_project_option(parser)
    add_web_device_option(parser)
    parser.add_argument("--app", metavar="APP", help="only this app")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.connect.choose import choose_web_device  # lazy: start-up
    from incamera.connect.web import web_connected
    from incamera.context import Context
    from incamera.project.loading import find_project
    from incamera.workflows.installed import read_status

    context = Context.open(console)
    device = choose_web_device(context, arguments.device, project=find_project(Path(arguments.project)))
    with web_connected(context, device) as client:
        status = read_status(client, arguments.app)
    if arguments.json:
        console.emit(
            {
                "device": str(device),
                "product": status.info.number,
                "axis_os": status.info.version,
                "architecture": status.info.architecture,
                "takes_unsigned": status.takes_unsigned,
                "apps": [describe_application(app) for app in status.applications],
            }
        )
    else:
        show_status(console, str(device), status)
    return 0


def show_status(console: Console, device: str, status: Status) -> None:
    """Print what a camera is, and a table of its apps."""
    info = status.info
    console.paragraph(f"{device}: {info.name or info.number}, AXIS OS {info.version}, {info.architecture}")
    if status.takes_unsigned is not None:
        console.paragraph(f"packages that are not signed: {'taken' if status.takes_unsigned else 'refused'}")
    if status.applications:
        _show_applications(console, status.applications)
    else:
        console.info("no app is installed; `incamera install` installs one")


def _show_applications(console: Console, applications: tuple[Application, ...]) -> None:
    signed = {None: "?", True: "yes", False: "no"}
    console.table(
        ("APP", "VERSION", "STATE", "SIGNED", "VENDOR", "NAME"),
        [(app.name, app.version, app.state, signed[app.is_signed], app.vendor, app.title) for app in applications],
    )


def describe_application(app: Application) -> dict[str, Any]:
    return {
        "name": app.name,
        "title": app.title,
        "vendor": app.vendor,
        "version": app.version,
        "state": app.state,
        "license": app.license,
        "page": app.page,
        "signed": app.is_signed,
        "bundled": app.is_bundled,
    }
