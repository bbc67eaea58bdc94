"""`incamera remove NAME…`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.add import add_edit_options, show
from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "remove",
        execute,
        help="remove packages from the project, and lock it",
        description="Remove packages from the dependencies in pyproject.toml, and lock it. When locking fails, nothing "
        "is changed.",
    )
    parser.add_argument("names", metavar="NAME", nargs="+", help="a package of the dependencies")
    add_edit_options(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.add import EditRequest, remove_packages

    request = EditRequest(
        texts=tuple(arguments.names),
        start=Path(arguments.project),
        group=arguments.group,
        target=arguments.target,
        script=arguments.script,
    )
    show(console, remove_packages(Context.open(console), request), arguments, "removed")
    return 0
