"""`incamera test`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_deploying_options, parse_request

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "test",
        execute,
        help="run the project's tests in the camera, with pytest",
        description="Run the project's tests in the camera with pytest. pytest and the packages of the dependency "
        "group `test` are deployed with the app. Options that are not listed here go to pytest. The exit code "
        "is pytest's.",
        json=False,
    )
    add_deploying_options(parser)
    parser.add_argument(
        "--junit",
        "--junitxml",
        "--junit-xml",
        type=Path,
        metavar="FILE",
        help="also write the results into FILE, as JUnit XML",
    )
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="measure which lines run, and write the data into `.coverage` on this computer",
    )
    parser.add_argument("arguments", nargs="*", metavar="PYTEST ARGS", help="arguments for pytest: -k …, -x, a file")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.loading import load_project
    from incamera.workflows.test import TestRun, run_tests

    if any(word.partition("=")[0] == "--script" for word in arguments.arguments):
        from incamera.errors import UsageError  # lazy: start-up

        raise UsageError("a script has no tests", hint="make a project of it: `incamera init` in its folder")
    return run_tests(
        Context.open(console),
        load_project(Path(arguments.project)),
        TestRun(arguments=arguments.arguments, junit=arguments.junit, coverage=arguments.coverage),
        request=parse_request(arguments),
    )
