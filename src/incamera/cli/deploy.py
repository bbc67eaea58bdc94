"""`incamera deploy`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_audit_option,
    add_command,
    add_device_option,
    add_place_options,
    add_project_option,
    add_target_option,
    parse_wish,
)

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "deploy",
        execute,
        help="put the bundle into the camera, sending only what has changed",
        description="Put the bundle into the camera: only what has changed, verified, switched over in one step.",
    )
    add_project_option(parser)
    add_target_option(parser)
    add_device_option(parser)
    add_place_options(parser)
    add_audit_option(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.project.settings import load_project
    from incamera.workflows.context import Context
    from incamera.workflows.deploy import deploy_project

    project = load_project(Path(arguments.project))
    name, result = deploy_project(
        Context.open(console),
        project,
        device=arguments.device,
        target=arguments.target,
        audit=arguments.audit,
        wish=parse_wish(arguments),
    )
    if arguments.json:
        console.emit(
            {
                "device": name,
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
        console.print(f"{name}:{result.destination}")
    return 0
