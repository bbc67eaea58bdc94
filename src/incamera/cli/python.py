"""`incamera python`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_cold_option,
    add_command,
    add_deploying_options,
    add_script_option,
    load_named_project,
    open_context,
    parse_request,
)

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "python",
        execute,
        help="run the Python interpreter in the camera, with the app's packages",
        description="Run the Python interpreter in the camera. It can import the app and its packages.",
        json=False,
    )
    add_deploying_options(parser)
    add_script_option(parser)
    add_cold_option(parser)
    parser.add_argument(
        "--attach",
        action="store_true",
        help="open a console inside the app that `incamera run` started: its variables, its threads' stacks",
    )
    parser.add_argument(
        "arguments", nargs="*", metavar="PYTHON ARGS", help="arguments for the interpreter: -c …, -m …, a file"
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.workflows.run import run_python  # lazy: start-up

    context = open_context(arguments, console)
    project = load_named_project(arguments, context)
    if arguments.attach:
        from incamera.errors import UsageError  # lazy: start-up
        from incamera.workflows.attach import attach_console

        if arguments.arguments:
            raise UsageError("--attach takes no arguments for the interpreter: the app's interpreter runs already")
        return attach_console(context, project, device=arguments.device)
    return run_python(
        context,
        project,
        arguments=arguments.arguments,
        request=parse_request(arguments),
    )
