"""`incamera deploy`"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_command,
    add_deploying_options,
    add_script_option,
    load_named_project,
    parse_request,
)

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "deploy",
        execute,
        help="put the bundle into the camera; only changed files are sent",
        description="Put the bundle into the camera. Only changed files are sent. They are verified before the new "
        "bundle replaces the old one in one step.",
    )
    add_deploying_options(parser)
    add_script_option(parser)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read every file that is in the camera already, and replace damaged ones (default: check size and time)",
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.deploy import deploy_project

    context = Context.open(console)
    project = load_named_project(arguments, context)
    device, result = deploy_project(
        context,
        project,
        request=replace(parse_request(arguments), verify=arguments.verify),
    )
    if arguments.json:
        console.emit(
            {
                "device": str(device),
                "destination": result.destination,
                "root": result.root,
                "form": result.form,
                "files_sent": result.files_sent,
                "bytes_sent": result.bytes_sent,
                "files_unchanged": result.files_unchanged,
                "seconds": round(result.seconds, 3),
            }
        )
    else:
        console.paragraph(f"{device}:{result.destination}")
    return 0
