"""Write cli.md from the parser itself, so that the two cannot differ.

    python docs/reference/make_cli.py

A unit test compares the file with what this makes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).with_name("cli.md")
_INTRODUCTION = """\
# The command line

Made by `make_cli.py` from the parser itself; don't edit it. What a command prints with `--json`, and what its exit code
means, is in [json.md](json.md); what it reads from the environment, in [environment.md](environment.md).

A command that runs something in the camera (`run`, `python`, `test`, `debug`) exits with its exit code. The app's own
arguments follow `--`: `incamera run -- --threshold 3`. Those of a file or module that is named, of `incamera python`
and of `incamera test` need no `--`: `incamera run other.py --threshold 3`.

`incamera help COMMAND` describes a command. A group may be typed in the plural: `devices` is
`device list`. `incamera completion SHELL` prints a script that completes commands, options and names.

![What incamera help prints: its commands, one a line](../images/help.svg)
"""


def walk(
    parser: argparse.ArgumentParser, name: str, summary: str = ""
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield each command that can be typed: its words, the line that --help lists it with, its parser."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield name, summary, parser
    for group in groups:
        summaries = {choice.dest: choice.help or "" for choice in group._choices_actions}
        for word, child in group.choices.items():
            yield from walk(child, f"{name} {word}", summaries.get(word, ""))


def describe_option(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    value = "" if action.nargs == 0 else f" {_repeat(name, action.nargs)}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def describe_position(action: argparse.Action) -> str:
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return _repeat(str(action.metavar or action.dest), action.nargs)


def _repeat(name: str, nargs: int | str | None) -> str:
    return {"?": f"[{name}]", "*": f"[{name} …]"}.get(str(nargs), name)


def describe(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
    positions = [action for action in actions if not action.option_strings]
    options = [action for action in actions if action.option_strings]
    yield f"## `{name}`\n"
    yield f"{parser.description}\n"
    words = [name, "[OPTIONS]" if options else "", *map(describe_position, positions)]
    yield f"```text\n{' '.join(word for word in words if word)}\n```\n"
    if positions or options:
        yield "| | |\n| --- | --- |"
        for action in positions:
            yield f"| `{action.metavar or action.dest}` | {action.help or ''} |".replace("  |", " |")
        for action in options:
            yield f"| {describe_option(action)} | {action.help} |"
        yield ""


def make_page(parser: argparse.ArgumentParser) -> str:
    commands = list(walk(parser, parser.prog))
    lines = [_INTRODUCTION, "| command | |\n| --- | --- |"]
    for name, summary, _ in commands:
        anchor = name.replace(" ", "-")
        lines.append(f"| [`{name}`](#{anchor}) | {summary} |")
    lines.append("")
    for name, _, command in commands:
        lines += describe(name, command)
    lines.append("`incamera --version` prints the version; every command has `--help`.")
    return "\n".join(lines) + "\n"


def main() -> None:
    from incamera.cli.parser import make_parser

    PAGE.write_text(make_page(make_parser()), "utf-8")


if __name__ == "__main__":
    main()
