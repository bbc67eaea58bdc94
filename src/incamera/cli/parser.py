"""The parser of the command line, and the options that several commands share."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from incamera import __version__
from incamera.cli.words import mark_interpreter_arguments, mark_other_arguments, singular, split_program
from incamera.names import did_you_mean

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.request import DeployRequest
    from incamera.project.settings import Project

# As --help groups and orders them. Each name of a command is also that of a module in this package.
_TOPICS = {
    "make a project": ("new", "init", "add", "remove"),
    "run it in the camera": ("run", "python", "test", "debug"),
    "look at what runs": ("logs", "top", "ps", "stop"),
    "its files in the camera": ("cp", "ls", "rm", "cat"),
    "the steps of `run`, one by one": ("lock", "build", "audit", "deploy"),
    "cameras": ("device", "virtual", "share", "connections"),
    "incamera itself": ("store", "completion", "help"),
}
COMMANDS = tuple(name for names in _TOPICS.values() for name in names)

_UNRECOGNIZED = "unrecognized arguments: "
_MISSING = ("the following arguments are required: COMMAND", "the following arguments are required: ACTION")
# What other programs call a command or an action of ours.
_SYNONYMS = {
    "ls": ("list",),
    "rm": ("remove",),
    "delete": ("remove",),
    "show": ("info", "list"),
    "mount": ("attach",),
    "umount": ("detach",),
    "unmount": ("detach",),
    "kill": ("stop",),
    "shell": ("python",),
    "repl": ("python",),
    "exec": ("run",),
    "watch": ("run",),
    "create": ("new", "start"),
    "sync": ("lock",),
    "check": ("audit",),
    "upload": ("deploy",),
    "install": ("add", "deploy"),
    "uninstall": ("remove",),
    "clear": ("clean",),
    "up": ("start",),
    "down": ("stop",),
    "connect": ("add",),
    "log": ("logs",),
    "compile": ("build",),
}
_REQUIRED = "the following arguments are required: "
_NO_VALUE = re.compile(r"argument (?:.*/)?(\S+): expected (?:one|at least one) argument")
_WRONG_VALUE = re.compile(r"argument (?:.*/)?(\S+): invalid choice: '(.*?)' \(choose from (.*)\)")
_WRONG_COMMAND = re.compile(r"argument (?:COMMAND|ACTION): invalid choice: '(.*?)'")


class Parser(argparse.ArgumentParser):
    """A parser whose errors end with a hint: the closest command or option, or what to type for help.

    `hint_unknown` is the hint for an option that is unknown and similar to no other.
    """

    hint_unknown: str | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._positionals.title = "arguments"

    def add_subparsers(self, **options: Any) -> Any:
        self._positionals.title = "actions"
        return super().add_subparsers(**options)

    def _print_message(self, message: str, file: Any = None) -> None:
        from incamera.console_streams import encodable  # lazy: start-up; only for help

        super()._print_message(encodable(message, getattr(file, "encoding", None) or "utf-8", "replace"), file)

    def error(self, message: str) -> Any:
        typed, known = _mistyped(self, message)
        hint = _suggest(typed, known) if typed else None
        if message.startswith(_MISSING) and (choices := _choices(self)):
            self.print_help(sys.stderr)
            example = next((name for name in ("list", "help") if name in choices), choices[0])
            hint = f"type, for example, `{self.prog} {example}`"
        elif message.startswith(_REQUIRED) or _NO_VALUE.match(message):
            self.print_usage(sys.stderr)
        if hint is None and not _WRONG_COMMAND.match(message) and (match := _WRONG_VALUE.match(message)):
            hint = "choose one of: " + match[3].replace("'", "")
        if hint is None and message.startswith(_UNRECOGNIZED):
            hint = self.hint_unknown
        message = _reword(self, message)
        if typed.endswith(".py") and "--script" in known:
            hint = f"to work on a script, type `{self.prog} --script {typed}`"
        elif typed.endswith(".py") and "run" in known:
            hint = f"to run it in the camera, type `{self.prog} run {typed}`"
        from incamera.console import Console  # lazy: start-up; every other command line makes a console of its own
        from incamera.errors import UsageError

        error = UsageError(message, hint=hint or f"`{self.prog} --help` shows what can be typed here")
        Console().error(error)
        sys.exit(error.exit_code)


class _MainParser(Parser):
    """The parser of the whole command line, whose help groups the commands by topic."""

    def format_help(self) -> str:
        helps = {choice.dest: choice for action in self._actions for choice in getattr(action, "_choices_actions", ())}
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for topic, names in _TOPICS.items():
            formatter.start_section(topic)
            formatter.add_arguments([helps[name] for name in names if name in helps])
            formatter.end_section()
        formatter.start_section("options")
        formatter.add_arguments([action for action in self._actions if action.option_strings])
        formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()


def make_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser with the subparsers of the commands *names*. Fewer of them take less time at start-up."""
    parser = _MainParser(
        prog="incamera",
        description="Python, in camera: write an app on your computer; seconds later it runs inside an Axis camera.",
        epilog="`incamera help COMMAND` describes a command. Without a camera of your own, a virtual one is used.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-V", "--version", action="version", version=f"incamera {__version__}", help="show the version and exit"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for name in names:
        import_module(f"incamera.cli.{name}").add_parser(commands)
    return parser


def add_command(
    commands: Any, name: str, execute: Any, *, help: str, description: str | None = None, json: bool = True
) -> Parser:
    """Add the command *name*, for which `execute(arguments, console)` is called, and the options that all have."""
    parser: Parser = commands.add_parser(
        name, help=help, description=description or f"{help[0].upper()}{help[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(execute=execute, parser=parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print only results, warnings and errors")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    return parser


def add_project_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-C", "--project", metavar="DIR", default=".", help="the project's folder (default: this one)")


def add_script_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--script", metavar="FILE", help="the script to work on, instead of the project")


def load_named_project(arguments: argparse.Namespace, context: Context) -> Project:
    """Return the project that --project names, or --script where it was added. Raises ConfigError."""
    from incamera.project.program import Typed, load_program  # lazy: start-up
    from incamera.project.settings import SCRIPTS

    typed = Typed(program=arguments.script, project=arguments.project)
    return load_program(typed, context.store.root / SCRIPTS, context.reporter.warn)


def add_target_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", metavar="NAME", help="the target: armv7hf, aarch64-cp313, …")


def add_device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="use this device (default: INCAMERA_DEVICE, else the project's, else a virtual camera)",
    )


def add_audit_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-audit", dest="audit", action="store_false", help="do not check first whether the bundle can run there"
    )


def add_place_options(parser: argparse.ArgumentParser) -> None:
    from incamera.targets.form import PLACES, Form  # lazy: start-up

    places = [place.value for place in PLACES]
    parser.add_argument("--to", metavar="PLACE", choices=places, help=f"where to put the bundle: {', '.join(places)}")
    parser.add_argument(
        "--form",
        metavar="FORM",
        choices=[form.value for form in Form],
        help=f"the bundle's form in the camera: {', '.join(Form)} (default: the best one for the place)",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="end another deploy that is running instead of waiting for it; with run --watch, also end another session",
    )


def add_deploying_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that deploys the bundle first."""
    add_project_option(parser)
    add_target_option(parser)
    add_device_option(parser)
    add_place_options(parser)
    add_audit_option(parser)


def add_cold_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cold",
        action="store_true",
        help="start afresh: use no connection that is kept open, and no process that waits in the camera",
    )


def open_context(arguments: argparse.Namespace, console: Any) -> Context:
    """Return the context of a command that has the option --cold."""
    from incamera.context import Context  # lazy: start-up
    from incamera.holder.client import COLD_VARIABLE

    return Context.open(console, {**os.environ, COLD_VARIABLE: "1"} if arguments.cold else None)


def parse_request(arguments: argparse.Namespace) -> DeployRequest:
    """Return the deploy request that the options of `add_deploying_options` make."""
    from incamera.deployment.request import DeployRequest  # lazy: start-up
    from incamera.targets.form import Form, Kind

    return DeployRequest(
        device=arguments.device,
        target=arguments.target,
        audit=arguments.audit,
        place=Kind(arguments.to) if arguments.to else None,
        form=Form(arguments.form) if arguments.form else None,
        take_over=arguments.take_over,
    )


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed *arguments*. Prints an error and raises SystemExit(2) when they are wrong."""
    arguments = singular(arguments)
    known = arguments[:1] if arguments[:1] and arguments[0] in COMMANDS else COMMANDS
    parser = make_parser(known)
    if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "-V", "--version"):
        at = next((at for at, word in enumerate(arguments) if word in COMMANDS), None)
        words = ["run", *arguments] if at is None else [arguments[at], *arguments[:at], *arguments[at + 1 :]]
        parser.error(f"{arguments[0]} must follow a command, as in `incamera {' '.join(words)}`")
    if arguments[:1] and arguments[0] in ("run", "debug"):
        return _parse_program(parser, arguments)
    if arguments[:1] == ["python"]:
        arguments = mark_interpreter_arguments(_options(parser, "python"), arguments)
    elif arguments[:1] == ["test"]:
        arguments = mark_other_arguments(_options(parser, "test"), arguments)
    return _parse(parser, arguments)


def _parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    command, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By the command's own parser, which knows the options that may be meant.
        command.parser.error(_UNRECOGNIZED + " ".join(unknown))
    return command


def _parse_program(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parse the options before the program. What follows it is the program's, as with `python`."""
    words, program = split_program(_options(parser, arguments[0]), arguments[1:])
    command = _parse(parser, [arguments[0], *words])
    command.program, command.arguments = program[:1][0] if program[:1] not in ([], ["--"]) else None, program[1:]
    return command


def add_program_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to run: a file or a module, and its arguments. `parse_arguments` fills in both positional ones."""
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run this module instead of the project's entry")
    parser.add_argument(
        "program",
        nargs="?",
        metavar="FILE.py",
        help="run this file instead of the project's entry; options of incamera come before it",
    )
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGS", help="arguments for the program; those for the entry follow --"
    )


def load_named_program(arguments: argparse.Namespace, context: Context) -> Project:
    """Return the project that the arguments of `add_program_arguments` and `add_project_option` name."""
    from incamera.project.program import Typed, load_program  # lazy: start-up
    from incamera.project.settings import SCRIPTS

    typed = Typed(program=arguments.program, module=arguments.module, project=arguments.project)
    project = load_program(typed, context.store.root / SCRIPTS, context.reporter.warn)
    own = {option for action in arguments.parser._actions for option in action.option_strings}
    if any(_long_option(word) in own for word in arguments.arguments):
        from incamera.project.program import mentions  # lazy: start-up

        for option in dict.fromkeys(map(_long_option, arguments.arguments)):
            if option in own and arguments.program is not None and not mentions(typed, option):
                context.reporter.warn(
                    f"{option} goes to {arguments.program}, because it follows it; for incamera, type "
                    f"`{arguments.parser.prog} {option} {arguments.program}`"
                )
    return project


def _long_option(word: str) -> str:
    return word.partition("=")[0] if word.startswith("--") and len(word) > 2 else ""


def _options(parser: argparse.ArgumentParser, command: str) -> dict[str, argparse.Action]:
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {option: action for action in commands.choices[command]._actions for option in action.option_strings}


def make_console(arguments: argparse.Namespace) -> Any:
    from incamera.console import Console  # lazy: start-up

    return Console(json_output=getattr(arguments, "json", False), quiet=getattr(arguments, "quiet", False))


def _choices(parser: argparse.ArgumentParser) -> list[str]:
    """Return the commands, or the actions, that may follow what *parser* has read."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [name for group in groups for name in group.choices]


def _suggest(typed: str, known: Sequence[str]) -> str | None:
    """Return a hint with what may be meant: a similar word, or what other programs call *typed*."""
    same = [name for name in _SYNONYMS.get(typed, ()) if name in known]
    return f'did you mean "{same[0]}"?' if same else did_you_mean(typed, known)


def _reword(parser: argparse.ArgumentParser, message: str) -> str:
    """Return argparse's *message* in plain words."""
    if match := _WRONG_COMMAND.match(message):
        return f"there is no command `{parser.prog} {match[1]}`"
    if match := _WRONG_VALUE.match(message):
        return f'{match[1]} cannot be "{match[2]}"'
    if match := _NO_VALUE.match(message):
        return f"the value of {match[1]} is missing"
    if message.startswith(_UNRECOGNIZED):
        word = message.removeprefix(_UNRECOGNIZED).split()[0]
        return f"there is no option {word}" if word.startswith("-") else f'"{word}" is one argument too many'
    if message.startswith(_REQUIRED):
        missing = message.removeprefix(_REQUIRED).split(", ")
        one = {"COMMAND": "a command", "ACTION": "an action"}.get(missing[0], missing[0])
        return f"{one} is missing" if len(missing) == 1 else f"{' and '.join(missing)} are missing"
    message = re.sub(r"^argument (?:.*/)?(\S+): ", r"\1: ", message)
    message = message.replace("invalid int value: ", "not a whole number: ")
    return message.replace("invalid float value: ", "not a number: ")


def _mistyped(parser: argparse.ArgumentParser, message: str) -> tuple[str, list[str]]:
    """Return the word that argparse's *message* complains about, and the words that are known in its place."""
    if "invalid choice: '" in message:
        choices = [str(choice) for action in parser._actions for choice in action.choices or ()]
        return message.split("invalid choice: '")[1].split("'")[0], choices
    if message.startswith(_UNRECOGNIZED):
        word = message.removeprefix(_UNRECOGNIZED).split()[0].partition("=")[0]
        options = [option for action in parser._actions for option in action.option_strings]
        if len(word) == 2 and (meant := next((option for option in options if option.startswith(f"-{word}")), None)):
            return meant, options  # `-d` for `--device`
        return word, options
    return "", []
