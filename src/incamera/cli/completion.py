"""`incamera completion SHELL`: print a script that completes commands, options and names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import COMMANDS, add_command

if TYPE_CHECKING:
    from incamera.console import Console

_PATHS = frozenset({"DIR", "FILE", "FOLDER", "PATH", "FILE.py"})
# What completes an argument: its command, or "" for all, and its name in the code.
_NAMES = {
    ("", "device"): "devices",
    ("", "target"): "targets",
    ("", "profile"): "profiles",
    ("device info", "name"): "devices",
    ("device remove", "name"): "own-devices",
    ("virtual stop", "names"): "virtual",
    ("share attach", "name"): "shares",
    ("share remove", "name"): "shares",
    ("lock", "upgrade"): "locked",
    ("lock", "explain"): "locked",
    ("remove", "names"): "packages",
    ("remove", "packages"): "packages",
    ("help", "words"): "commands",
}
KINDS = tuple(dict.fromkeys(_NAMES.values()))


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "completion",
        execute,
        help="print a completion script for your shell",
        description='Print a completion script. To use it, type: eval "$(incamera completion bash)"; in fish: '
        "incamera completion fish | source",
        json=False,
    )
    parser.add_argument("shell", nargs="?", choices=("bash", "zsh", "fish", "tcsh"), help="the shell to complete in")
    parser.add_argument("--names", choices=KINDS, help=argparse.SUPPRESS)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.cli.parser import make_parser  # lazy: start-up

    if arguments.names is not None:
        if arguments.names == "commands":
            console.print("\n".join(COMMANDS))
            return 0
        from incamera.context import Context  # lazy: start-up
        from incamera.workflows.names import find_names

        for name in find_names(Context.open(console), arguments.names, Path.cwd()):
            console.print(name)
        return 0
    if arguments.shell is None:
        from incamera.errors import UsageError  # lazy: start-up

        raise UsageError("the shell is missing", hint="type, for example, `incamera completion bash`")
    parser = make_parser()
    if arguments.shell == "fish":
        from incamera.cli.fish import fish_script  # lazy: start-up

        console.print(fish_script(parser, find_kind))
        return 0
    import shtab  # lazy: start-up

    _mark_arguments(parser)
    # It takes a text for each shell, too, other than its types say.
    console.print(shtab.complete(parser, shell=arguments.shell, preamble=_preamble()))  # type: ignore[arg-type]
    return 0


def find_kind(command: str, action: argparse.Action) -> str | None:
    """Return what completes the argument *action* of *command*: one of KINDS, "files", or None for nothing."""
    if action.choices is not None:
        return None
    if action.type is Path or action.metavar in _PATHS:
        return "files"
    return _NAMES.get((command, action.dest)) or _NAMES.get(("", action.dest))


def _mark_arguments(parser: argparse.ArgumentParser) -> None:
    """Have the arguments completed with file names, and with the names that the tool knows."""
    import shtab  # lazy: start-up

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _mark_arguments(inner)
        elif (kind := find_kind(parser.prog.partition(" ")[2], action)) == "files":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif kind is not None:
            function = _function(kind)
            action.complete = {"bash": function, "zsh": function}  # type: ignore[attr-defined]


def _function(kind: str) -> str:
    return f"_incamera_{kind.replace('-', '_')}"


def _preamble() -> dict[str, str]:
    """Return, by shell, the functions that complete names: they ask the tool, which must not print an error."""
    ask = "incamera completion --names {kind} 2>/dev/null"
    bash = [f'{_function(kind)}() {{ compgen -W "$({ask.format(kind=kind)})" -- "$1"; }}' for kind in KINDS]
    zsh = [
        f'{_function(kind)}() {{ local -a names=("${{(@f)$({ask.format(kind=kind)})}}"); compadd -a names; }}'
        for kind in KINDS
    ]
    return {"bash": "\n".join(bash), "zsh": "\n".join(zsh)}
