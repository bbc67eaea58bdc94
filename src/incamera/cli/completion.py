"""`incamera completion SHELL`: print a script that completes commands and options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console

_PATHS = frozenset({"DIR", "FILE", "FOLDER", "PATH"})


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "completion",
        execute,
        help="print a completion script for your shell",
        description='Print a completion script. To use it, type: eval "$(incamera completion bash)"',
        json=False,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell to complete in")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    import shtab  # lazy: start-up

    from incamera.cli.parser import make_parser

    parser = make_parser()
    _mark_files(parser)
    console.print(shtab.complete(parser, shell=arguments.shell))
    return 0


def _mark_files(parser: argparse.ArgumentParser) -> None:
    """Have the arguments that are paths completed with file names."""
    import shtab  # lazy: start-up

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _mark_files(inner)
        elif action.choices is None and (action.type is Path or action.metavar in _PATHS):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
