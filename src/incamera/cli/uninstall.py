"""`incamera uninstall`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_app_option, add_command, add_project_option, add_web_device_option
from incamera.errors import UsageError

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "uninstall",
        execute,
        help="remove an installed app from a camera",
        description="Remove an app that is installed in a camera, with its settings and its localdata.",
    )
    add_project_option(parser)
    add_web_device_option(parser)
    add_app_option(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask first")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.cli.installed import open_app  # lazy: start-up
    from incamera.workflows.installed import require_application, uninstall

    with open_app(arguments, console) as (client, name):
        app = require_application(client, name)
        if not arguments.yes and not console.can_ask:
            raise UsageError("nobody can be asked here", hint="--yes removes it")
        question = f"remove {name} {app.version} from {client.device}, with its settings and its data?"
        removed = arguments.yes or console.confirm(question)
        if removed:
            uninstall(client, name)
        if arguments.json:
            console.emit({"device": str(client.device), "app": name, "version": app.version, "removed": removed})
        elif removed:
            console.info(f"removed {name} {app.version} from {client.device}")
    return 0
