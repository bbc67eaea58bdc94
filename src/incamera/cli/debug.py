"""`incamera debug`"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_command,
    add_deploying_options,
    add_program_arguments,
    load_named_program,
    parse_request,
)

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "debug",
        execute,
        help="run the app in the camera under a debugger",
        description="Run the app in the camera under debugpy, and forward a port of this computer to it, for VS Code "
        "or another debugger that uses the Debug Adapter Protocol. For `breakpoint()` in the terminal, use "
        "`incamera run`.",
        json=False,
    )
    parser.epilog = parser.hint_unknown = "arguments for the app follow `--`: `incamera debug -- --verbose`"
    add_deploying_options(parser)
    parser.add_argument("--port", type=int, default=5678, metavar="N", help="the port to attach to (default: 5678)")
    parser.add_argument("--no-wait", action="store_true", help="start the app at once, before a debugger attaches")
    launch = parser.add_mutually_exclusive_group()
    launch.add_argument(
        "--write-launch", action="store_true", help="write a configuration for VS Code, .vscode/launch.json"
    )
    launch.add_argument("--show-launch", action="store_true", help="print that configuration and exit")
    add_program_arguments(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.debug import debug_app, launch_configuration

    context = Context.open(console)
    project = load_named_program(arguments, context)
    if arguments.show_launch:
        console.print(json.dumps(launch_configuration(project, arguments.port), indent=2))
        return 0
    return debug_app(
        context,
        project,
        arguments=arguments.arguments,
        request=parse_request(arguments),
        port=arguments.port,
        wait=not arguments.no_wait,
        write_launch=arguments.write_launch,
    )
