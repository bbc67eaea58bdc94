"""`incamera stop`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_command,
    add_device_option,
    add_project_option,
    add_script_option,
    load_named_project,
)

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "stop",
        execute,
        help="end the app in the camera",
        description="End all runs of this project's app in the camera, with all their processes, including runs "
        "that were started from another computer. In a camera that was added with its https address alone, and with "
        "--app, stop the installed app.",
    )
    add_project_option(parser)
    add_script_option(parser)
    add_device_option(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="end the runs of every app")
    which.add_argument("--app", metavar="APP", help="stop this app, which is installed in the camera")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.connect.choose import is_web_alone  # lazy: start-up
    from incamera.context import Context
    from incamera.project.loading import find_project
    from incamera.units import escape_controls
    from incamera.workflows.top import device_connection, stop_runs

    context = Context.open(console)
    found = find_project(Path(arguments.project))
    if arguments.app or is_web_alone(context, arguments.device, project=found):
        return _stop_installed(arguments, console)
    project = found if arguments.all else load_named_project(arguments, context)
    with device_connection(context, arguments.device, project) as connection:
        ended = stop_runs(connection, None if arguments.all else project)
        device = str(connection.device)
    if arguments.json:
        console.emit({"device": device, "ended": [{"pid": p.pid, "role": p.role, "app": p.app} for p in ended]})
    elif ended:
        names = [f"{p.command if p.role.of_app else p.role} ({p.pid})" for p in ended]
        console.info(f"ended on {device}: {escape_controls(', '.join(names))}")
    else:
        console.info(f"no run of {'any app' if arguments.all or project is None else project.name} to end on {device}")
    return 0


def _stop_installed(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.cli.installed import open_app  # lazy: start-up
    from incamera.errors import UsageError
    from incamera.workflows.installed import stop_installed

    if arguments.all:
        raise UsageError(
            "--all ends runs over SSH, and this camera has none", hint="name the installed app with --app NAME"
        )
    with open_app(arguments, console) as (client, name):
        was_running = stop_installed(client, name)
        if arguments.json:
            console.emit({"device": str(client.device), "app": name, "was_running": was_running})
        else:
            console.info(f"{'stopped' if was_running else 'was not running:'} {name} on {client.device}")
    return 0
