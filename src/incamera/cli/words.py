"""What was typed, put in order before argparse reads it: whose option is whose, and plural forms of commands."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

# Commands that have actions, and may be typed in the plural. Those that can be listed are, when no action follows.
GROUPS = ("device", "virtual", "share", "store", "sdk")
_LISTED = ("device", "virtual", "share", "sdk")
# Its name is a plural already.
_CONNECTIONS = "connections"
OTHER_NAMES = {**{f"{group}s": group for group in GROUPS}, _CONNECTIONS.removesuffix("s"): _CONNECTIONS}
"""What else the groups may be called. The completion understands these names, and does not offer them."""

# How argparse begins this message.
UNRECOGNIZED = "unrecognized arguments: "
# How our parser's message about an empty value ends.
EMPTY = "is empty"

Options = Mapping[str, argparse.Action]
"""The options of a command, by what can be typed."""


def singular(words: Sequence[str]) -> list[str]:
    """Return *words* with the name of a group of commands in the singular: `devices` is `device list`."""
    if words and words[0] in (_CONNECTIONS, _CONNECTIONS.removesuffix("s")):
        is_list = len(words) == 1 or (words[1].startswith("-") and words[1] not in ("-h", "--help"))
        return [_CONNECTIONS, *(["list"] if is_list and words[0] == _CONNECTIONS else []), *words[1:]]
    group = words[0].removesuffix("s") if words else ""
    if group not in GROUPS or words[0] == group:
        return list(words)
    if len(words) > 1 and not words[1].startswith("-"):
        return [group, *words[1:]]
    return [group, *(["list"] if group in _LISTED else []), *words[1:]]


def split_program(own: Options, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options at the start of *words*, and the rest: a file, or `--`, and what follows it.

    *own* are the command's options. After `-m MODULE`, the rest begins with `--`.
    """
    position = 0
    while position < len(words):
        word = words[position]
        if word == "--" or word == "-" or not word.startswith("-"):
            return list(words[:position]), list(words[position:])
        takes_value = _takes_next(own, word)
        position += 2 if takes_value else 1
        if word.startswith("-m"):
            return list(words[:position]), ["--", *words[position:]]
    return list(words), []


def _takes_next(own: Options, word: str) -> bool:
    """Whether the option *word* has its value in the next word: `--device`, `-C`, `-qC`, but not `-C.`."""
    if word.startswith("--"):
        return "=" not in word and word in own and own[word].nargs != 0
    for place, letter in enumerate(word[1:], 2):
        action = own.get(f"-{letter}")
        if action is None or action.nargs != 0:
            return action is not None and place == len(word)
    return False


def mark_interpreter_arguments(own: Options, arguments: list[str]) -> list[str]:
    """Put `--` before the first argument for the interpreter, so that `incamera python -c …` works."""
    position = 1
    while position < len(arguments) and arguments[position].partition("=")[0] in own:
        action = own[arguments[position].partition("=")[0]]
        position += 1 if action.nargs == 0 or "=" in arguments[position] else 2
    if arguments[position : position + 1] == ["--"]:
        return arguments
    return [*arguments[:position], "--", *arguments[position:]]


def mark_other_arguments(known: Options, arguments: list[str]) -> list[str]:
    """Move incamera's own options to the front, and put `--` before the others, so that pytest's need no `--`."""
    own = arguments[:1]
    others: list[str] = []
    rest = iter(arguments[1:])
    for word in rest:
        if word == "--":
            others += rest
        elif (action := known.get(word.partition("=")[0])) is None:
            others.append(word)
        else:
            own.append(word)
            if action.nargs != 0 and "=" not in word and (value := next(rest, None)) is not None:
                own.append(value)
            if word == "-q":  # makes pytest quiet too
                others.append(word)
    return [*own, "--", *others]
