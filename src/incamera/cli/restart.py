"""`incamera restart`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_app_option, add_command, add_project_option, add_web_device_option

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "restart",
        execute,
        help="restart an installed app",
        description="Stop an app that is installed in a camera, and start it again, or for the first time.",
    )
    add_project_option(parser)
    add_web_device_option(parser)
    add_app_option(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.cli.installed import open_app  # lazy: start-up
    from incamera.workflows.installed import restart_installed

    with open_app(arguments, console) as (client, name):
        restart_installed(client, name)
        if arguments.json:
            console.emit({"device": str(client.device), "app": name})
        else:
            console.info(f"restarted {name} on {client.device}")
    return 0
