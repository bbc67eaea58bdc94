"""`incamera ls`"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command
from incamera.cli.remote import REMOTE_HELP, add_remote_options, open_files, require_remote

if TYPE_CHECKING:
    from incamera.console import Console

_TYPES = {"f": "file", "d": "folder", "l": "link", "o": "other"}


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "ls",
        execute,
        help="list files of the app in the camera",
        description="List files of this project's app in the camera. Without a path, what is in its data folder.",
    )
    add_remote_options(parser)
    parser.add_argument("-r", "--recursive", action="store_true", help="list what is in folders, too")
    parser.add_argument("path", metavar="PATH", nargs="?", default=":data", help=f"{REMOTE_HELP}; may be a pattern")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.units import format_bytes  # lazy: start-up
    from incamera.workflows.files import list_files

    remote = require_remote([arguments.path])[0]
    with open_files(arguments, console, remote.device) as (_, files):
        entries = list_files(files, remote.path, deep=arguments.recursive)
        device = str(files.session.device)
    if arguments.json:
        rows = [
            {
                "path": entry.shown,
                "type": _TYPES.get(entry.found.type, "other"),
                "size": entry.found.size,
                "changed": entry.found.changed,
                "mode": f"{entry.found.mode:03o}",
            }
            for entry in entries
        ]
        console.emit({"device": device, "files": rows})
        return 0
    for entry in entries:
        size = format_bytes(entry.found.size) if entry.found.type == "f" else _TYPES.get(entry.found.type, "other")
        changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(min(entry.found.changed, 1 << 40)))
        console.print(f"{size:>9}  {changed}  {entry.shown}{'/' if entry.is_folder else ''}")
    return 0
