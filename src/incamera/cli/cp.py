"""`incamera cp`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command
from incamera.cli.remote import add_remote_options, open_files, require_remote
from incamera.errors import UsageError

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "cp",
        execute,
        help="copy files between this computer and the camera",
        description="Copy files and folders between this computer and the camera. A path in the camera begins with a "
        "colon: `incamera cp :data/night.csv .`. What is interrupted goes on where it stopped when it is typed again.",
    )
    add_remote_options(parser)
    parser.add_argument("-r", "--recursive", action="store_true", help="has no effect: folders are copied anyway")
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="what to copy: `:data/…` or NAME:data/… in the camera, which may be a quoted pattern, else a path here",
    )
    parser.add_argument("destination", metavar="DESTINATION", help="where to: one of both must be in the camera")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.workflows.files import copy_from, copy_to, parse_remote, require_here  # lazy: start-up

    destination = parse_remote(arguments.destination)
    sources = [parse_remote(word) for word in arguments.sources]
    if (destination is None) != all(sources) or (destination is not None and any(sources)):
        raise UsageError(
            "copy from the camera to this computer, or from this computer to the camera",
            hint="a path in the camera begins with a colon: `incamera cp :data/night.csv .`",
        )
    if destination is None:
        remotes = require_remote(arguments.sources)
        with open_files(arguments, console, remotes[0].device) as (context, files):
            count = copy_from(context, files, [remote.path for remote in remotes], arguments.destination)
            device = str(files.session.device)
    else:
        require_remote([arguments.destination])
        require_here(arguments.sources)  # before a virtual camera is started
        with open_files(arguments, console, destination.device, start=True) as (context, files):
            count = copy_to(context, files, [Path(word) for word in arguments.sources], destination.path)
            device = str(files.session.device)
    if arguments.json:
        console.emit({"device": device, "files": count})
    return 0
