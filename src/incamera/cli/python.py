"""`incamera python`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_audit_option, add_command, add_device_option, add_project_option, add_target_option

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "python",
        execute,
        help="the interpreter in the camera, with the app's packages",
        description="Start the interpreter in the camera, with the app's packages; a real terminal where there is one.",
        json=False,
    )
    add_project_option(parser)
    add_target_option(parser)
    add_device_option(parser)
    add_audit_option(parser)
    parser.add_argument(
        "arguments", nargs="*", metavar="PYTHON ARGS", help="arguments for the interpreter: -c …, -m …, a file"
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.project.settings import load_project
    from incamera.workflows.context import Context
    from incamera.workflows.run import run_python

    project = load_project(Path(arguments.project))
    return run_python(
        Context.open(console),
        project,
        arguments=arguments.arguments,
        device=arguments.device,
        target=arguments.target,
        audit=arguments.audit,
    )
