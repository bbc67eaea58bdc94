"""`incamera completion SHELL`: print a script that completes commands, options and names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import COMMANDS, add_command
from incamera.cli.words import OTHER_NAMES

if TYPE_CHECKING:
    from incamera.console import Console

_PATHS = frozenset({"DIR", "FILE", "FOLDER", "PATH", "FILE.py"})
# What completes an argument: its command, or "" for all, and its name in the code.
_NAMES = {
    ("", "device"): "devices",
    ("", "target"): "targets",
    ("", "profile"): "profiles",
    ("audit", "profile"): "audited-profiles",
    ("device info", "name"): "devices",
    ("device clean", "name"): "devices",
    ("connections close", "name"): "devices",
    ("device remove", "name"): "own-devices",
    ("virtual stop", "names"): "virtual",
    ("virtual fault", "faults"): "faults",
    ("share attach", "name"): "shares",
    ("share remove", "name"): "shares",
    ("sdk remove", "name"): "sdks",
    ("sdk add", "source"): "files",
    ("lock", "upgrade"): "locked",
    ("lock", "explain"): "locked",
    ("remove", "names"): "packages",
    ("remove", "packages"): "packages",
    ("help", "words"): "commands",
    ("ls", "path"): "camera-file",
    ("rm", "paths"): "camera-file",
    ("cat", "paths"): "camera-file",
    ("cp", "sources"): "any-file",
    ("cp", "destination"): "any-file",
}
# A camera that does not answer must not hold up the shell. shtab takes `_file` in a name for "completes files".
_ASK_CAMERA = "timeout 2 incamera completion --names camera-file --word"
_BASH = (
    f'_incamera_camera_file() {{ {_ASK_CAMERA} "$1" 2>/dev/null; }}',
    '_incamera_any_file() { if [[ $1 == *:* ]]; then _incamera_camera_file "$1"; else compgen -f -- "$1"; fi; }',
)
_ZSH = (
    f'_incamera_camera_file() {{ local -a names=(${{(f)"$({_ASK_CAMERA} "$PREFIX" 2>/dev/null)"}}); '
    "compadd -S '' -a names; }",
    "_incamera_any_file() { if [[ $PREFIX == *:* ]]; then _incamera_camera_file; else _files; fi; }",
)
# bash splits `:data/x` at the colon, unlike incamera: join it, and offer only what follows the colon.
_BASH_END = """
_incamera() {
  local line="${COMP_LINE:0:COMP_POINT}" word head
  local -a words
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  word="${words[${#words[@]} - 1]}"
  if ((COMP_CWORD > 1)); then
    case ${words[1]} in
OTHER_NAMES
    esac
    COMP_WORDS[1]=${words[1]}
  fi
  if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMP_WORDS=("${words[@]}")
    COMP_CWORD=$((${#words[@]} - 1))
    _shtab_incamera
    head="${word%"${word##*:}"}"
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
  else
    _shtab_incamera
  fi
  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace; fi
}
complete -o bashdefault -F _incamera incamera"""
_ZSH_END = """\
_incamera() {
  if ((CURRENT > 2)); then
    case $words[2] in
OTHER_NAMES
    esac
  fi
  _shtab_incamera "$@"
}
"""
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
    parser.add_argument("--word", default="", help=argparse.SUPPRESS)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.cli.parser import make_parser  # lazy: start-up

    if arguments.names is not None:
        if arguments.names == "commands":
            console.print("\n".join(COMMANDS))
            return 0
        from incamera.context import Context  # lazy: start-up
        from incamera.workflows.names import find_names

        for name in find_names(Context.open(console), arguments.names, Path.cwd(), arguments.word):
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
    script = shtab.complete(parser, shell=arguments.shell, preamble=_preamble())  # type: ignore[arg-type]
    # A sourced file is to define the completion, as `eval` does, and not to complete anything.
    if arguments.shell == "bash":
        script += _BASH_END.replace("OTHER_NAMES", _rename("words[1]"))
    elif arguments.shell == "zsh":
        script = script.replace("[[ $zsh_eval_context[-1] == eval ]]", "[[ $zsh_eval_context[-1] == (eval|file) ]]")
        definitions, opening, end = script.rpartition("\ntypeset -A opt_args\n")
        own = _ZSH_END.replace("OTHER_NAMES", _rename("words[2]"))
        script = definitions + own + opening + end.replace("_shtab_incamera", "_incamera")
    console.print(script)
    return 0


def find_kind(command: str, action: argparse.Action) -> str | None:
    """Return what completes the argument *action* of *command*: one of KINDS, "files", or None for nothing."""
    if action.choices is not None:
        return None
    if kind := _NAMES.get((command, action.dest)):
        return kind
    if action.type is Path or action.metavar in _PATHS:
        return "files"
    return _NAMES.get(("", action.dest))


def _rename(variable: str) -> str:
    """Return the branches of a shell's `case` that put into *variable* a group's own name for another."""
    return "\n".join(f"      {other}) {variable}={name} ;;" for other, name in OTHER_NAMES.items())


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
    bash, zsh = list(_BASH), list(_ZSH)
    for kind in KINDS:
        if kind not in ("camera-file", "any-file"):
            ask = f"incamera completion --names {kind} 2>/dev/null"
            bash.append(f'{_function(kind)}() {{ compgen -W "$({ask})" -- "$1"; }}')
            zsh.append(f'{_function(kind)}() {{ local -a names=(${{(f)"$({ask})"}}); compadd -a names; }}')
    return {"bash": "\n".join(bash), "zsh": "\n".join(zsh)}
