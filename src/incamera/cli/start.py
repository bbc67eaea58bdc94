"""`incamera start`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_app_option, add_command, add_project_option, add_web_device_option

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "start",
        execute,
        help="start an installed app",
        description="Start an app that is installed in a camera.",
    )
    add_project_option(parser)
    add_web_device_option(parser)
    add_app_option(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.cli.installed import open_app  # lazy: start-up
    from incamera.workflows.installed import start_installed

    with open_app(arguments, console) as (client, name):
        is_new = start_installed(client, name)
        if arguments.json:
            console.emit({"device": str(client.device), "app": name, "was_running": not is_new})
        else:
            console.info(f"{'started' if is_new else 'was running already:'} {name} on {client.device}")
    return 0
