"""`incamera run`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_cold_option,
    add_command,
    add_deploying_options,
    add_program_arguments,
    load_named_program,
    open_context,
    parse_request,
)
from incamera.errors import UsageError

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.context import Context
    from incamera.project.settings import Project


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "run",
        execute,
        help="run the app, a file or a module in the camera, after updating what has changed",
        description="Run the project's app in the camera, or the file or module that is named. First, lock, build, "
        "audit and deploy update what has changed. A script whose metadata block (`# /// script`) lists its "
        "dependencies needs no project.",
        json=False,
    )
    parser.epilog = parser.hint_unknown = "arguments for the app follow `--`: `incamera run -- --verbose`"
    add_deploying_options(parser)
    add_cold_option(parser)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="reload the app when its files change; a fork server in the camera keeps its packages imported",
    )
    parser.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="with --watch, end the app when it uses more memory than SIZE, for example 200M",
    )
    parser.add_argument(
        "--profile-startup", action="store_true", help="show how long each step until the app's first output takes"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="with --profile-startup, print the times as JSON; the app's output goes to standard error",
    )
    parser.add_argument(
        "--local",
        action="store_true",
        help="run the app on this computer, in the project's .venv or the active one; acap.video shows a known scene",
    )
    parser.add_argument(
        "--video",
        metavar="SOURCE",
        help="with --local, acap.video takes its frames from a video file, a folder of pictures, a webcam or a URL",
    )
    add_program_arguments(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.workflows.run import run_app  # lazy: start-up

    if arguments.json and not arguments.profile_startup:
        raise UsageError(
            "--json works only with --profile-startup", hint="everything else that `incamera run` prints is the app's"
        )
    if arguments.memory_limit and not arguments.watch:
        raise UsageError(
            "--memory-limit works only with --watch", hint="type `incamera run --watch --memory-limit 200M`"
        )
    if arguments.video and not arguments.local:
        raise UsageError("--video works only with --local", hint="type `incamera run --local --video FILE`")
    context = open_context(arguments, console)
    project = load_named_program(arguments, context)
    if arguments.local:
        return _run_locally(arguments, project)
    if arguments.profile_startup:
        if arguments.watch:
            raise UsageError("--profile-startup and --watch cannot be used together: --watch starts the app by a fork")
        return _profile(arguments, console, context, project)
    if arguments.watch:
        return _watch(arguments, context, project)
    return run_app(
        context,
        project,
        arguments=arguments.arguments,
        request=parse_request(arguments),
    )


def _run_locally(arguments: argparse.Namespace, project: Project) -> int:
    from incamera.workflows.local_run import run_locally  # lazy: start-up

    for option in ("watch", "profile_startup", "device", "to"):
        if getattr(arguments, option):
            name = option.replace("_", "-")
            raise UsageError(f"--local and --{name} cannot be used together", hint=f"leave --{name} out")
    run_locally(project, arguments.arguments, arguments.video)
    return 0


def _profile(arguments: argparse.Namespace, console: Console, context: Context, project: Project) -> int:
    from dataclasses import asdict  # lazy: start-up

    from incamera.workflows.startup import describe_imports, profile_startup

    profile = profile_startup(
        context,
        project,
        arguments=arguments.arguments,
        request=parse_request(arguments),
        quiet_output=arguments.json,
    )
    if arguments.json:
        console.emit({"seconds": profile.seconds, **asdict(profile)})
        return profile.exit_code
    console.info("")
    for phase in profile.phases:
        inside = f"{phase.inside:.2f} s of it in the camera" if phase.inside is not None else ""
        console.info(
            f"{phase.seconds:8.2f} s  {phase.name:<10} {'; '.join(filter(None, (phase.what, inside)))}".rstrip()
        )
        if phase.name == "imports":
            for depth, item in describe_imports(profile.imports, least=max(0.01, phase.seconds / 50)):
                console.info(f"{item.seconds:8.2f} s  {'  ' * (depth + 1)}{item.name}")
    console.info(f"{profile.seconds:8.2f} s  in all")
    return profile.exit_code


def _watch(arguments: argparse.Namespace, context: Context, project: Project) -> int:
    from incamera.units import parse_memory_limit  # lazy: start-up
    from incamera.workflows.watch import watch_app

    try:
        limit = parse_memory_limit(arguments.memory_limit) if arguments.memory_limit else None
    except ValueError as error:
        raise UsageError(f"--memory-limit: {error}") from error
    return watch_app(
        context,
        project,
        arguments=arguments.arguments,
        request=parse_request(arguments),
        memory_limit=limit,
    )
