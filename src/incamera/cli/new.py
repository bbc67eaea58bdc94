"""`incamera new NAME`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli import init
from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "new",
        execute,
        help="make a project: pyproject.toml, app.py, a test",
        description="Make a project in a new folder: pyproject.toml, app.py, a test. `incamera new .` does what "
        "`incamera init` does: it adds to this folder what it lacks.",
    )
    parser.add_argument("folder", metavar="NAME", help="the folder to make; its last part is the project's name")
    init.add_init_options(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.errors import UsageError  # lazy: start-up
    from incamera.project.new import create_project

    folder = Path(arguments.folder)
    if folder.absolute().resolve() == Path.cwd().resolve():
        return init.execute(arguments, console)
    if arguments.entry or arguments.dry_run:
        raise UsageError(
            "--entry and --dry-run are for a folder that has something",
            hint=f"type `incamera init {folder}`, or `incamera new .` in the folder",
        )
    paths = create_project(folder.absolute())
    if arguments.json:
        console.emit({"project": str(folder.absolute()), "files": [str(path) for path in paths]})
    else:
        console.paragraph(f"made {folder} with " + ", ".join(path.name for path in paths))
        console.print(f"now type: {init.next_command(folder)}")
    return 0
