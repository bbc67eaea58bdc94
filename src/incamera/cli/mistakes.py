"""What is wrong with a command line, in plain words, and what may have been meant: argparse's messages, explained."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass

from incamera.cli.other_tools import hint_for_option, hints_for_words
from incamera.cli.words import EMPTY, UNRECOGNIZED
from incamera.names import closest, did_you_mean

_MISSING = ("the following arguments are required: COMMAND", "the following arguments are required: ACTION")
# What other programs call a command or an action of ours.
_SYNONYMS = {
    "ls": ("list",),
    "rm": ("remove",),
    "delete": ("remove", "stop"),
    "show": ("info", "list"),
    "mount": ("attach",),
    "umount": ("detach",),
    "unmount": ("detach",),
    "kill": ("stop",),
    "shell": ("python",),
    "repl": ("python",),
    "run": ("start",),
    "create": ("new", "start", "serve", "add"),
    "reboot": ("restart",),
    "reset": ("restart",),
    "start": ("run", "serve"),
    "info": ("list",),
    "status": ("ps", "list"),
    "sync": ("lock",),
    "check": ("audit",),
    "upload": ("deploy",),
    "install": ("add", "deploy"),
    "uninstall": ("remove",),
    **dict.fromkeys(("clear", "prune", "purge", "gc"), ("clean",)),
    "up": ("start",),
    "down": ("stop",),
    "connect": ("add",),
    "log": ("logs",),
    "compile": ("build",),
    # Places, for --to.
    "flash": ("package",),
    "card": ("sdcard",),
    "sd": ("sdcard",),
    "memory": ("ram",),
    "nas": ("share",),
    "network": ("share",),
}
# What the NAME of each group's actions is the name of.
_NAMED = {"device": "device", "virtual": "device", "connections": "device", "share": "share"}
# Commands that take a name as an option alone.
_NAMES = {
    **dict.fromkeys(("incamera start", "incamera restart", "incamera uninstall"), "--app"),
    "incamera lock": "--upgrade",
    **dict.fromkeys(("incamera status", "incamera ps", "incamera top", "incamera stop", "incamera deploy"), "--device"),
}
_REQUIRED = "the following arguments are required: "
_UNASKED_VALUE = re.compile(r"argument (?:.*/)?(\S+): ignored explicit argument '(.*)'\Z", re.DOTALL)
_NAMES_OF_OPTION = re.compile(r"argument (-[^\s:]+/[^\s:]+)(?=:)")
_NO_VALUE = re.compile(r"argument (?:.*/)?(\S+): expected (?:one|at least one) argument")
_WRONG_VALUE = re.compile(r"argument (?:.*/)?(\S+): invalid choice: '(.*?)' \(choose from (.*)\)")
_EXCLUDED = re.compile(r"argument (?:.*/)?(\S+): not allowed with argument (?:.*/)?(\S+)")
_EMPTY = re.compile(rf"argument (?:.*/)?(\S+): {EMPTY}")
_BEFORE_COMMAND = re.compile(r"(\S+ must follow a command), as in (`.*`)\Z", re.DOTALL)
_WRONG_COMMAND = re.compile(r"argument (?:COMMAND|ACTION): invalid choice: '(.*?)'")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A *message* and a *hint* for the user. *shows* is what to print above them: "help", "usage" or ""."""

    message: str
    hint: str
    shows: str


def explain(
    parser: argparse.ArgumentParser, message: str, *, hint_unknown: str | None, words: Sequence[str]
) -> Mistake:
    """Return what argparse's *message* about *parser* means. *words* are those of the command line.

    *hint_unknown* is the hint for an option that is unknown and similar to no other.
    """
    if match := _BEFORE_COMMAND.match(message):
        return Mistake(message=match[1], hint=f"type {match[2]}", shows="")
    if (match := _UNASKED_VALUE.match(message)) and any(_is_bundle(word, match[2]) for word in words):
        message = f"{UNRECOGNIZED}-{match[2][0]}"  # `-rf`, where there is an option -r and no -f
    typed, known = _mistyped(parser, message)
    hint = _find_hint(parser, typed, known)
    typed = _long_option(typed, known)
    shows = ""
    if message.startswith(_MISSING) and (choices := _choices(parser)):
        shows = "help"
        example = next((name for name in ("list", "help") if name in choices), choices[0])
        hint = f"type, for example, `{parser.prog} {example}`"
    elif message.startswith(_REQUIRED) or _NO_VALUE.match(message):
        shows = "usage"
    if hint is None and not _WRONG_COMMAND.match(message) and (match := _WRONG_VALUE.match(message)):
        hint = "choose one of: " + match[3].replace("'", "")
    if message.startswith(UNRECOGNIZED) and (arguments := _find_arguments(parser, typed)):
        hint = f"type `{parser.prog} {arguments}`, without {typed}"
    if message.startswith(UNRECOGNIZED) and f"--{typed}" in known:
        hint = f'did you mean "--{typed}"?'
    elif message.startswith(UNRECOGNIZED) and not typed.startswith("-") and (option := _NAMES.get(parser.prog)):
        hint = f"type `{parser.prog} {option} {typed}`"
    if _EXCLUDED.match(message):
        hint = "leave out one of them"
    if hint is None and message.startswith(UNRECOGNIZED):
        hint = hint_unknown
    if typed.endswith(".py") and "--script" in known:
        hint = f"to work on a script, type `{parser.prog} --script {typed}`"
    elif typed.endswith(".py") and "run" in known:
        hint = f"to run it in the camera, type `{parser.prog} run {typed}`"
    if _EMPTY.match(message):
        hint = "if it comes from a variable of the shell, that is not set"
    hint = hint or f"`{parser.prog} --help` shows what can be typed here"
    return Mistake(message=_reword(parser, _as_typed(message, words)), hint=hint, shows=shows)


def _is_bundle(word: str, ending: str) -> bool:
    """Return whether *word* is short options in one, of which those that nobody knows begin with *ending*."""
    return word.startswith("-") and not word.startswith("--") and "=" not in word and word.endswith(ending)


def _find_hint(parser: argparse.ArgumentParser, typed: str, known: Sequence[str]) -> str | None:
    """Return what may be meant with *typed*, in the place of which those in *known* can be."""
    command = parser.prog.partition(" ")[2]
    if not typed:
        return None
    others = hints_for_words(command)
    if typed in others:
        return others[typed]
    if command and typed.startswith("-") and (hint := hint_for_option(command, typed, known)):
        return hint
    hint = _suggest(_long_option(typed, known), known)
    if hint is None and (similar := closest(typed, others)):
        return others[similar[0]]
    return hint


def _long_option(typed: str, known: Sequence[str]) -> str:
    """Return the option of *known* that the short option *typed* may be: `--device` for `-d`. Else *typed* itself."""
    if len(typed) != 2 or not typed.startswith("-"):
        return typed
    return next((option for option in known if option.startswith(f"-{typed}")), typed)


def _choices(parser: argparse.ArgumentParser) -> list[str]:
    """Return the commands, or the actions, that may follow what *parser* has read."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [name for group in groups for name in group.choices]


def _suggest(typed: str, known: Sequence[str]) -> str | None:
    """Return a hint with what may be meant: a similar word, or what other programs call *typed*."""
    same = [name for name in _SYNONYMS.get(typed, ()) if name in known]
    return f'did you mean "{same[0]}"?' if same else did_you_mean(typed, known)


def _find_arguments(parser: argparse.ArgumentParser, option: str) -> str | None:
    """Return the arguments of *parser* when *option* is one of them: NAME for --device of `incamera device info`."""
    names = [str(action.metavar) for action in parser._actions if action.metavar and not action.option_strings]
    options = {f"--{name.lower()}" for name in names}
    if "NAME" in names:
        options.add(f"--{_NAMED.get(parser.prog.split()[1])}")
    return " ".join(names) if option in options else None


def _as_typed(message: str, words: Sequence[str]) -> str:
    """Return *message* with the one name of an option that is among *words*: argparse lists all that it has."""
    match = _NAMES_OF_OPTION.match(message)
    if not match:
        return message
    typed = {word.partition("=")[0] for word in words}
    name = next((name for name in match[1].split("/") if name in typed), None)
    return f"argument {name}{message[match.end() :]}" if name else message


def _reword(parser: argparse.ArgumentParser, message: str) -> str:
    """Return argparse's *message* in plain words."""
    if match := _WRONG_COMMAND.match(message):
        return f"there is no command `{parser.prog} {match[1]}`"
    if match := _WRONG_VALUE.match(message):
        return f'{match[1]} cannot be "{match[2]}"'
    if match := _EMPTY.match(message):
        return f"{match[1]} is empty"
    if match := _NO_VALUE.match(message):
        return f"the value of {match[1]} is missing"
    if match := _UNASKED_VALUE.match(message):
        return f'{match[1]} takes no value, and "{match[2]}" is one'
    if message.startswith(UNRECOGNIZED):
        word = message.removeprefix(UNRECOGNIZED).split()[0]
        return f"there is no option {word}" if word.startswith("-") else f'"{word}" is one argument too many'
    if match := _EXCLUDED.match(message):
        return f"{match[2]} and {match[1]} cannot be used together"
    if message.startswith(_REQUIRED):
        missing = message.removeprefix(_REQUIRED).split(", ")
        one = {"COMMAND": "a command", "ACTION": "an action"}.get(missing[0], missing[0])
        return f"{one} is missing" if len(missing) == 1 else f"{' and '.join(missing)} are missing"
    message = re.sub(r"^argument (?:.*/)?(\S+): ", r"\1: ", message)
    message = re.sub(r"invalid int value: '(.*)'\Z", r'"\1" is not a whole number', message, flags=re.DOTALL)
    return re.sub(r"invalid float value: '(.*)'\Z", r'"\1" is not a number', message, flags=re.DOTALL)


def _mistyped(parser: argparse.ArgumentParser, message: str) -> tuple[str, list[str]]:
    """Return the word that argparse's *message* complains about, and the words that are known in its place."""
    if "invalid choice: '" in message:
        choices = [str(choice) for action in parser._actions for choice in action.choices or ()]
        return message.split("invalid choice: '")[1].split("'")[0], choices
    if message.startswith(UNRECOGNIZED):
        word = message.removeprefix(UNRECOGNIZED).split()[0].partition("=")[0]
        return word, [option for action in parser._actions for option in action.option_strings]
    return "", []
