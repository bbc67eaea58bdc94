"""`incamera install`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_project_option, add_web_device_option
from incamera.errors import UsageError

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.project.settings import Project
    from incamera.workflows.install import Installed


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "install",
        execute,
        help="install a package in a camera, through its web server",
        description="Install an .eap in a camera, or replace the installed one, through the camera's web server. "
        "Without FILE, this project's package for the camera is made and installed. What the camera would refuse is "
        "not sent.",
    )
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="the .eap (default: this project's package)")
    add_project_option(parser)
    add_web_device_option(parser)
    parser.add_argument("--start", action="store_true", help="start the app afterwards")
    parser.add_argument(
        "--allow-unsigned",
        action="store_true",
        help="turn the camera's switch AllowUnsigned on, if the package is not signed and the switch is off, without a "
        "question",
    )
    parser.add_argument(
        "--set-back",
        action="store_true",
        help="turn AllowUnsigned off again afterwards if it was turned on; installed apps stay",
    )
    parser.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="send the package even if the camera is expected to refuse it",
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.connect.choose import choose_web_device  # lazy: start-up
    from incamera.context import Context
    from incamera.project.loading import find_project, load_project
    from incamera.workflows.install import InstallRequest, install

    if arguments.file is not None and not arguments.file.is_file():
        what = "is not a file" if arguments.file.exists() else "does not exist"
        hint = "name the .eap of a package"
        if not arguments.file.suffix:
            hint += f"; `incamera add {arguments.file}` adds a Python package to the project"
        raise UsageError(f"cannot install {arguments.file}: it {what}", hint=hint)
    context = Context.open(console)
    folder = Path(arguments.project)
    source: Path | Project = arguments.file or load_project(folder)
    device = choose_web_device(context, arguments.device, project=find_project(folder), start=True)
    request = InstallRequest(
        allow_unsigned=arguments.allow_unsigned,
        set_back=arguments.set_back,
        check=arguments.check,
        start=arguments.start,
    )
    done = install(context, device, source, request)
    if arguments.json:
        console.emit(_describe(done))
        return 0
    what = f"{done.package.name} {done.package.version}"
    before = f", in place of {done.before}" if done.before else ""
    console.paragraph(f"installed {what} on {device}{before}")
    if done.is_running:
        console.info(f"it is running; `incamera logs --device {device} --app {done.package.name}` shows its log")
    elif done.is_running is not None:
        console.info(f"it is not running; `incamera start --device {device} --app {done.package.name}` starts it")
    return 0


def _describe(done: Installed) -> dict[str, Any]:
    return {
        "device": str(done.device),
        "product": done.info.number,
        "axis_os": done.info.version,
        "architecture": done.info.architecture,
        "app": done.package.name,
        "version": done.package.version,
        "replaced_version": done.before,
        "signed": done.package.is_signed,
        "bytes": done.package.size,
        "running": done.is_running,
        "unsigned_turned_on": done.turned_on,
    }
