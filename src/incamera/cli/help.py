"""`incamera help [COMMAND]`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, parse_arguments
from incamera.cli.words import OTHER_NAMES

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "help",
        execute,
        help="describe a command",
        description="Describe a command, as --help does, or list the commands.",
        json=False,
    )
    parser.add_argument("words", nargs="*", metavar="COMMAND", help="the command: run, device, device add, …")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    words = [OTHER_NAMES.get(arguments.words[0], arguments.words[0]), *arguments.words[1:]] if arguments.words else []
    words = words[: 2 if words[:1] and words[0] in OTHER_NAMES.values() else 1]
    parse_arguments([*words, "--help"])  # it prints the help, or what is wrong, and exits
    return 0
