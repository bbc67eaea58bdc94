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
        "that were started from another computer.",
    )
    add_project_option(parser)
    add_script_option(parser)
    add_device_option(parser)
    parser.add_argument("--all", action="store_true", help="end the runs of every app")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.loading import find_project
    from incamera.units import escape_controls
    from incamera.workflows.top import device_connection, stop_runs

    context = Context.open(console)
    project = find_project(Path(arguments.project)) if arguments.all else load_named_project(arguments, context)
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
