"""The completion script for fish, made from the parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator

from incamera.cli.words import OTHER_NAMES

FindKind = Callable[[str, argparse.Action], str | None]
"""Returns what completes an argument of a command: a kind of names, "files", or None for nothing."""

_OPENING = """\
# Whether the words before the cursor that are no options begin with these. With --exactly, there are no others.
function __incamera_at
    set -l words (commandline -opc | string match -v -- '-*')
    set -e words[1]
    switch "$words[1]"
OTHER_NAMES
    end
    set -l exactly no
    if test "$argv[1]" = --exactly
        set exactly yes
        set -e argv[1]
    end
    set -l count (count $argv)
    if test (count $words) -lt $count; or test $exactly = yes -a (count $words) -ne $count
        return 1
    end
    test $count -eq 0; or test "$words[1..$count]" = "$argv"
end
complete -c incamera -f"""
_FILES = " -F"


def fish_script(parser: argparse.ArgumentParser, find_kind: FindKind) -> str:
    """Return the script with which fish completes the command line of *parser*."""
    other_names = "\n".join(
        f"        case {other}\n            set words[1] {name}" for other, name in OTHER_NAMES.items()
    )
    return "\n".join([_OPENING.replace("OTHER_NAMES", other_names), *_complete(parser, "", find_kind)])


def _complete(parser: argparse.ArgumentParser, command: str, find_kind: FindKind) -> Iterator[str]:
    """Yield the lines for *command*, the words that *parser* parses the rest of, and for those that follow it."""
    exactly = f"complete -c incamera -n '{f'__incamera_at --exactly {command}'.strip()}'"
    here = f"complete -c incamera -n '__incamera_at {command}'" if command else exactly
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                yield f"{exactly} -a {name}{_description(helps.get(name, ''))}"
                yield from _complete(inner, f"{command} {name}".strip(), find_kind)
        elif action.help != argparse.SUPPRESS:
            line = here + "".join(_option(text) for text in action.option_strings)
            if action.option_strings and action.nargs == 0:
                yield line + _description(action.help or "")
            elif values := _values(action, find_kind(command, action)):
                takes = " -r" if values == _FILES else " -x"  # -x offers no files
                yield line + (takes if action.option_strings else "") + values + _description(action.help or "")
            elif action.option_strings:
                yield f"{line} -x{_description(action.help or '')}"


def _option(text: str) -> str:
    return f" -l {text[2:]}" if text.startswith("--") else f" -s {text[1:]}"


def _values(action: argparse.Action, kind: str | None) -> str:
    """Return the options of `complete` that offer what *action* may be; none where *kind* is None."""
    if action.choices is not None:
        return f" -a '{' '.join(map(str, action.choices))}'"
    if kind is None:
        return ""
    if kind in ("camera-file", "any-file"):
        ask = "timeout 2 incamera completion --names camera-file --word (commandline -ct) 2>/dev/null"
        return (_FILES if kind == "any-file" else "") + f" -a '({ask})'"
    return _FILES if kind == "files" else f" -a '(incamera completion --names {kind} 2>/dev/null)'"


def _description(text: str) -> str:
    text = re.sub(r"\s+", " ", text.replace("%%", "%"))
    return " -d '" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" if text else ""
