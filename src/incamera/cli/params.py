"""`incamera params`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_app_option, add_command, add_project_option, add_web_device_option

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "params",
        execute,
        help="show or set the parameters of an installed app",
        description="Show the parameters of an app that is installed in a camera, or set some of them. An app has "
        "those that its package names.",
    )
    parser.add_argument("changes", metavar="NAME=VALUE", nargs="*", help="set the parameter NAME to VALUE")
    add_project_option(parser)
    add_web_device_option(parser)
    add_app_option(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.cli.installed import open_app  # lazy: start-up
    from incamera.workflows.installed import read_app_params, set_app_params

    with open_app(arguments, console) as (client, name):
        changes = arguments.changes
        params = set_app_params(client, name, changes) if changes else read_app_params(client, name)
        device = str(client.device)
    if arguments.json:
        console.emit({"device": device, "app": name, "params": [{"name": key, "value": params[key]} for key in params]})
    elif params:
        console.table(("PARAMETER", "VALUE"), list(params.items()))
    else:
        console.info(f"{name} has no parameters")
    return 0
