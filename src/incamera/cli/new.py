"""`incamera new NAME`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "new", execute, help="make a project: pyproject.toml, app.py, a test")
    parser.add_argument("folder", metavar="NAME", help="the folder to make; its last part is the project's name")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.project.new import create_project  # lazy: start-up

    folder = Path(arguments.folder)
    paths = create_project(folder.absolute())
    if arguments.json:
        console.emit({"project": str(folder.absolute()), "files": [str(path) for path in paths]})
    else:
        console.print(f"made {folder} with " + ", ".join(path.name for path in paths))
        console.print(f"now type: cd {folder} && incamera run")
    return 0
