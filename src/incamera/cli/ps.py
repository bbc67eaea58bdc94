"""`incamera ps`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_device_option, add_project_option
from incamera.units import format_age, format_bytes

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "ps",
        execute,
        help="list the processes that incamera started in the camera",
        description="List the processes that incamera started in the camera, from this computer or another one.",
    )
    add_project_option(parser)
    add_device_option(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.observe.processes import take_sample
    from incamera.project.loading import find_project
    from incamera.workflows.top import device_connection

    with device_connection(
        Context.open(console), arguments.device, find_project(Path(arguments.project))
    ) as connection:
        sample, device = take_sample(connection.session, connection.ensure_guard()), str(connection.device)
    processes = [process for process in sample.processes if process.role.of_run]
    if arguments.json:
        rows = [
            {
                "pid": process.pid,
                "role": process.role,
                "app": process.app,
                "run": process.run,
                "command": process.command,
                "seconds": round(sample.uptime - process.began, 1),
                "resident": process.resident,
            }
            for process in processes
        ]
        console.emit({"device": device, "processes": rows})
    elif not processes:
        console.info(f"no process that incamera started runs on {device}")
    else:
        table = [
            [str(p.pid), p.app or "–", p.role, format_age(sample.uptime - p.began), format_bytes(p.resident), p.command]
            for p in processes
        ]
        console.table(("PID", "APP", "ROLE", "AGE", "MEMORY", "COMMAND"), table)
    return 0
