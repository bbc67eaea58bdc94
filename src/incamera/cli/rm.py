"""`incamera rm`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command
from incamera.cli.remote import REMOTE_HELP, add_remote_options, open_files, require_remote

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "rm",
        execute,
        help="remove files of the app in the camera",
        description="Remove files of this project's app in the camera. Links are removed, not what they lead to.",
    )
    add_remote_options(parser)
    parser.add_argument("-r", "--recursive", action="store_true", help="remove folders, too, with all that is in them")
    parser.add_argument("paths", metavar="PATH", nargs="+", help=f"{REMOTE_HELP}; may be a pattern")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.units import format_count  # lazy: start-up
    from incamera.workflows.files import remove_files

    remotes = require_remote(arguments.paths)
    with open_files(arguments, console, remotes[0].device) as (_, files):
        removed = remove_files(files, [remote.path for remote in remotes], recursive=arguments.recursive)
        device = str(files.session.device)
    if arguments.json:
        console.emit({"device": device, "removed": [entry.shown for entry in removed]})
    else:
        what = f":{removed[0].shown}" if len(removed) == 1 else format_count(len(removed), "path")
        console.info(f"removed from {device}: {what}")
    return 0
