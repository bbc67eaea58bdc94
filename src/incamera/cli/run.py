"""`incamera run` and what it shares with `incamera python` and `incamera deploy`"""

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
        "run",
        execute,
        help="run the app in the camera, doing first whatever is stale",
        description="Lock, fetch, build, audit, bundle and deploy what is stale, then run the app in the camera.",
        json=False,
    )
    parser.epilog = "The app's own arguments follow `--`, as in `incamera run -- --verbose`."
    add_project_option(parser)
    add_target_option(parser)
    add_device_option(parser)
    add_audit_option(parser)
    parser.add_argument("arguments", nargs="*", metavar="ARGS", help="arguments for the app, after --")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.project.settings import load_project
    from incamera.workflows.context import Context
    from incamera.workflows.run import run_app

    project = load_project(Path(arguments.project))
    return run_app(
        Context.open(console),
        project,
        arguments=arguments.arguments,
        device=arguments.device,
        target=arguments.target,
        audit=arguments.audit,
    )
