"""The command line as a whole: which commands there are, and what they share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from incamera import __version__
from incamera.names import did_you_mean

if TYPE_CHECKING:
    from incamera.deployment.request import DeployRequest

# In the order of --help: the main job first. A name is that of its module in this package.
COMMANDS = (
    *("new", "run", "python", "test", "debug", "logs", "top", "ps", "stop"),
    *("lock", "build", "audit", "deploy", "device", "virtual", "share", "store", "completion"),
)


class Parser(argparse.ArgumentParser):
    """Names the closest command or option when one is mistyped."""

    def error(self, message: str) -> Any:
        typed, known = _what_was_typed(self, message)
        self.print_usage(sys.stderr)
        hint = (did_you_mean(typed, known) if typed else None) or self.epilog
        sys.stderr.write(f"error: {message}\n" + (f"hint: {hint}\n" if hint else ""))
        sys.exit(2)


def make_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the commands *names*; fewer are made sooner."""
    parser = Parser(
        prog="incamera",
        description="Python, in camera: write an app on your computer; seconds later it runs inside an Axis camera.",
        epilog="`incamera COMMAND --help` tells more. Without a device of your own, a virtual camera is used.",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"incamera {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for name in names:
        import_module(f"incamera.cli.{name}").add_parser(commands)
    return parser


def add_command(
    commands: Any, name: str, execute: Any, *, help: str, description: str | None = None, json: bool = True
) -> argparse.ArgumentParser:
    """Add the command *name*, carried out by *execute*(arguments, console), with the options that all have."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=description or f"{help[0].upper()}{help[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(execute=execute, parser=parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but results and errors")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    return parser


def add_project_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-C", "--project", metavar="DIR", default=".", help="the project's folder (default: this one)")


def add_target_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", metavar="NAME", help="build for this target: armv7hf, aarch64-cp313, …")


def add_device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="use this device (default: INCAMERA_DEVICE, the project's, else a virtual camera)",
    )


def add_audit_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-audit", dest="audit", action="store_false", help="don't look first whether the bundle can run there"
    )


def add_place_options(parser: argparse.ArgumentParser) -> None:
    from incamera.targets.form import PLACES, Form  # lazy: start-up

    places = [place.value for place in PLACES]
    parser.add_argument("--to", metavar="PLACE", choices=places, help=f"where to put the bundle: {', '.join(places)}")
    parser.add_argument(
        "--form",
        metavar="FORM",
        choices=[form.value for form in Form],
        help=f"as what to put it there: {', '.join(Form)} (default: what the place is best at)",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="end the deploy of somebody else that is under way, instead of waiting; with run --watch, their session, "
        "too",
    )


def add_deploying_options(parser: argparse.ArgumentParser) -> None:
    """Add what all commands share that bring the bundle into a camera first."""
    add_project_option(parser)
    add_target_option(parser)
    add_device_option(parser)
    add_place_options(parser)
    add_audit_option(parser)


def parse_request(arguments: argparse.Namespace) -> DeployRequest:
    """Return what the options of `add_deploying_options` ask for."""
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
    known = arguments[:1] if arguments[:1] and arguments[0] in COMMANDS else COMMANDS
    parser = make_parser(known)
    if arguments[:1] == ["python"]:
        arguments = _mark_interpreter_arguments(parser, arguments)
    elif arguments[:1] == ["test"]:
        arguments = _mark_other_arguments(parser, arguments)
    command, unknown = parser.parse_known_args(arguments)
    if unknown:
        # Told by the command's own parser, which knows the options that are meant.
        command.parser.error("unrecognized arguments: " + " ".join(unknown))
    return command


def _mark_interpreter_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """Put `--` before the first word that isn't ours, so that `incamera python -c …` works as `python -c …` does."""
    ours = _options(parser, "python")
    position = 1
    while position < len(arguments) and arguments[position].partition("=")[0] in ours:
        action = ours[arguments[position].partition("=")[0]]
        position += 1 if action.nargs == 0 or "=" in arguments[position] else 2
    if arguments[position : position + 1] == ["--"]:
        return arguments
    return [*arguments[:position], "--", *arguments[position:]]


def _mark_other_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """Sort the words: ours first, then `--` and all others, as they came. So pytest's options need no `--`."""
    ours = _options(parser, "test")
    mine = arguments[:1]
    others: list[str] = []
    rest = iter(arguments[1:])
    for word in rest:
        if word == "--":
            others += rest
        elif (action := ours.get(word.partition("=")[0])) is None:
            others.append(word)
        else:
            mine.append(word)
            if action.nargs != 0 and "=" not in word and (value := next(rest, None)) is not None:
                mine.append(value)
            if word == "-q":  # who wants us quiet wants that of pytest, too
                others.append(word)
    return [*mine, "--", *others]


def _options(parser: argparse.ArgumentParser, command: str) -> dict[str, argparse.Action]:
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {option: action for action in commands.choices[command]._actions for option in action.option_strings}


def make_console(arguments: argparse.Namespace) -> Any:
    from incamera.console import Console  # lazy: start-up

    return Console(json_output=getattr(arguments, "json", False), quiet=getattr(arguments, "quiet", False))


def _what_was_typed(parser: argparse.ArgumentParser, message: str) -> tuple[str, list[str]]:
    if "invalid choice: '" in message:
        choices = [str(choice) for action in parser._actions for choice in action.choices or ()]
        return message.split("invalid choice: '")[1].split("'")[0], choices
    if message.startswith("unrecognized arguments: "):
        return message.split(": ", 1)[1].split()[0], [
            option for action in parser._actions for option in action.option_strings
        ]
    return "", []
