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
    from collections.abc import Sequence

    from incamera.console import Console
    from incamera.project.settings import Project


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
    _require_file(arguments.arguments, project)
    return run_python(
        context,
        project,
        arguments=arguments.arguments,
        request=parse_request(arguments),
    )


def _require_file(words: Sequence[str], project: Project) -> None:
    """Raise UsageError where the interpreter would look for a file that is not there: `list` of `uv python list`."""
    name = words[0] if words else ""
    if name[:1] in ("", "-") or "." in name or "/" in name or (project.folder / name).exists():
        return
    from incamera.errors import UsageError  # lazy: start-up; only for a mistake

    raise UsageError(
        f'there is no file "{name}" in {project.folder}',
        hint=f"for a module, type `incamera python -m {name}`; --target says which Python it is, as in "
        "`incamera python --target armv7hf-cp313`",
    )
