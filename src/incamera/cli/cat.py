"""`incamera cat`"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command
from incamera.cli.remote import REMOTE_HELP, add_remote_options, open_files, require_remote

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "cat",
        execute,
        help="print files of the app in the camera",
        description="Print files of this project's app in the camera, byte for byte.",
        json=False,
    )
    add_remote_options(parser)
    parser.add_argument("paths", metavar="PATH", nargs="+", help=f"{REMOTE_HELP}; may be a pattern")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.workflows.files import print_files  # lazy: start-up

    remotes = require_remote(arguments.paths)
    with open_files(arguments, console, remotes[0].device) as (_, files):
        print_files(files, [remote.path for remote in remotes], sys.stdout.fileno())
    return 0
