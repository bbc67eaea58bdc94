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
        help="the project's pytest inside the camera",
        description="Run the project's tests in the camera with pytest, which is brought there with what the "
        "dependency group `test` names. Options that are not listed here are pytest's, and so is the exit code.",
        json=False,
    )
    add_deploying_options(parser)
    parser.add_argument(
        "--junit", "--junitxml", "--junit-xml", type=Path, metavar="FILE", help="write the results into this file, too"
    )
    parser.add_argument(
        "--coverage", action="store_true", help="measure which lines run, and bring the data back as `.coverage`"
    )
    parser.add_argument("arguments", nargs="*", metavar="PYTEST ARGS", help="arguments for pytest: -k …, -x, a file")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.settings import load_project
    from incamera.workflows.test import TestRun, run_tests

    return run_tests(
        Context.open(console),
        load_project(Path(arguments.project)),
        TestRun(arguments=arguments.arguments, junit=arguments.junit, coverage=arguments.coverage),
        request=parse_request(arguments),
    )
