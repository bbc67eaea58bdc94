"""`incamera completion SHELL`: a script that completes our commands and options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "completion",
        execute,
        help="print a completion script for your shell",
        description='Print a completion script, to be read by the shell: eval "$(incamera completion bash)"',
        json=False,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell that will read it")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    import shtab

    from incamera.cli.parser import make_parser

    console.print(shtab.complete(make_parser(), shell=arguments.shell))
    return 0
