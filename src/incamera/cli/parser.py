"""The parser of the command line, and the options that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from incamera import __version__
from incamera.cli.words import (
    EMPTY,
    UNRECOGNIZED,
    mark_interpreter_arguments,
    mark_other_arguments,
    singular,
    split_program,
)
from incamera.console_streams import Stream

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
    "ship it": ("package", "inspect", "install", "status", "start", "restart", "params", "uninstall"),
    "cameras": ("device", "virtual", "share", "connections"),
    "incamera itself": ("store", "sdk", "completion", "help"),
}
COMMANDS = tuple(name for names in _TOPICS.values() for name in names)
# Longer lines are hard to read, however wide the terminal is.
_HELP_WIDTH = 100


class _HelpFormatter(argparse.HelpFormatter):
    """Break lines between words only: not in a name with hyphens, in `quoted code`, or in `10 s`."""

    def __init__(self, prog: str, **options: Any) -> None:
        # argparse makes one for each option; its own way to find the width imports shutil, which is slow to import.
        columns = Stream(sys.stdout, "replace").columns - 2
        super().__init__(prog, **{"width": min(columns, _HELP_WIDTH), **options})

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap  # lazy: start-up; only for help

        from incamera.units import find_words

        # textwrap does not break at a no-break space.
        words = (word.strip().replace(" ", "\N{NO-BREAK SPACE}") for word in find_words(" ".join(text.split())))
        lines = textwrap.wrap(" ".join(words), width, break_on_hyphens=False)
        return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(f"{indent}{line}" for line in self._split_lines(text, width - len(indent)))


class Parser(argparse.ArgumentParser):
    """A parser whose errors end with a hint: the closest command or option, or what to type for help.

    `hint_unknown` is the hint for an option that is unknown and similar to no other. `words` are those of the command
    line that is being parsed.
    """

    hint_unknown: str | None = None
    words: Sequence[str] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": _HelpFormatter, **options})
        self._positionals.title = "arguments"

    def add_subparsers(self, **options: Any) -> Any:
        self._positionals.title = "actions"
        return super().add_subparsers(**options)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        # It comes from a variable of the shell that is not set. Only what a program is given may be empty, what follows
        # a command, and what the completion asks for.
        may_be_empty = action.dest == "arguments" or action.help == argparse.SUPPRESS or action.nargs == argparse.PARSER
        if not arg_string.strip() and not may_be_empty:
            raise argparse.ArgumentError(action, EMPTY)
        return super()._get_value(action, arg_string)

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own says nothing when the disk is full.
        Stream(file or sys.stderr, "replace").write_raw(message)

    def error(self, message: str) -> Any:
        from incamera.cli.mistakes import explain  # lazy: start-up; other command lines need none of it
        from incamera.console import Console
        from incamera.errors import StoreError, UsageError

        mistake = explain(self, message, hint_unknown=self.hint_unknown, words=Parser.words)
        error = UsageError(mistake.message, hint=mistake.hint)
        with suppress(StoreError):  # standard error cannot be written
            if mistake.shows:
                self.print_help(sys.stderr) if mistake.shows == "help" else self.print_usage(sys.stderr)
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


def add_web_device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="use this camera, which was added with its https address, or this virtual one (default: INCAMERA_DEVICE, "
        "else the project's)",
    )


def add_app_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--app", metavar="APP", help="the app's name in the camera (default: that of this project)")


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
    Parser.words = arguments = singular(arguments)
    if arguments and not arguments[0].strip():
        make_parser(()).error(f"argument COMMAND: {EMPTY}")
    known = arguments[:1] if arguments[:1] and arguments[0] in COMMANDS else COMMANDS
    parser = make_parser(known)
    if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "-V", "--version"):
        _refuse_option_before_command(parser, arguments)
    if arguments[:1] and arguments[0] in ("run", "debug"):
        return _parse_program(parser, arguments)
    if arguments[:1] == ["python"]:
        arguments = mark_interpreter_arguments(_options(parser, "python"), arguments)
    elif arguments[:1] == ["test"]:
        arguments = mark_other_arguments(_options(parser, "test"), arguments)
    return _parse(parser, arguments)


def _refuse_option_before_command(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Print an error for *arguments*, which begin with an option, and exit."""
    option = arguments[0].partition("=")[0] if arguments[0].startswith("--") else arguments[0][:2]
    named = next((word for word in arguments if word in COMMANDS), None)
    command = named or next((name for name in ("run", *COMMANDS) if option in _options(parser, name)), None)
    if command is None:
        parser.error(UNRECOGNIZED + option)
        return
    rest = list(arguments)
    if named is not None:
        rest.remove(named)
    if option not in _options(parser, command):
        _command_parser(parser, command).error(UNRECOGNIZED + option)
    parser.error(f"{arguments[0]} must follow a command, as in `incamera {' '.join([command, *rest])}`")


def _parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    command, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By the command's own parser, which knows the options that may be meant.
        command.parser.error(UNRECOGNIZED + " ".join(unknown))
    return command


def _parse_program(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parse the options before the program. What follows it is the program's, as with `python`."""
    words, program = split_program(_options(parser, arguments[0]), arguments[1:])
    command = _parse(parser, [arguments[0], *words])
    command.program, command.arguments = program[:1][0] if program[:1] not in ([], ["--"]) else None, program[1:]
    if command.program is not None and not command.program.strip():
        command.parser.error(f"argument FILE.py: {EMPTY}")
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
        "arguments", nargs="*", metavar="ARGS", help="arguments for the program; those for the entry follow `--`"
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


def _command_parser(parser: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    found: argparse.ArgumentParser = commands.choices[command]
    return found


def _options(parser: argparse.ArgumentParser, command: str) -> dict[str, argparse.Action]:
    return {option: action for action in _command_parser(parser, command)._actions for option in action.option_strings}


def make_console(arguments: argparse.Namespace | None = None) -> Any:
    from incamera.console import Console  # lazy: start-up

    return Console(json_output=getattr(arguments, "json", False), quiet=getattr(arguments, "quiet", False))
