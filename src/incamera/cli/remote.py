"""What cp, ls, rm and cat share: paths on a device, and the connection to it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.cli.parser import add_device_option, add_project_option
from incamera.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from incamera.console import Console
    from incamera.context import Context
    from incamera.workflows.files import Files, Remote

REMOTE_HELP = "`:data/…` is the app's data folder in the camera; with NAME:, in the camera NAME"


def add_remote_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that work on files in a camera."""
    add_project_option(parser)
    add_device_option(parser)
    parser.add_argument(
        "--anywhere", action="store_true", help="also allow absolute paths outside of the app's folders"
    )


def require_remote(words: Sequence[str]) -> list[Remote]:
    """Return the paths *words*, which all are in one camera. Raises UsageError."""
    from incamera.workflows.files import Remote, parse_remote, split_path  # lazy: start-up

    remotes = [parse_remote(word) or Remote(None, word) for word in words]
    for remote in remotes:
        split_path(remote.path, device=remote.device)
    if len({remote.device for remote in remotes}) > 1:
        raise UsageError("these paths are in different cameras", hint="type one command for each camera")
    return remotes


@contextmanager
def open_files(
    arguments: argparse.Namespace, console: Console, device: str | None, *, start: bool = False
) -> Iterator[tuple[Context, Files]]:
    """Connect to the camera *device*, or to the one that the options name, for as long as the block lasts.

    With *start*, a virtual camera is started where one is meant and none runs.
    """
    from incamera.context import Context  # lazy: start-up
    from incamera.project.loading import find_project, load_project
    from incamera.workflows.files import Files
    from incamera.workflows.top import device_connection

    if device and arguments.device and device != arguments.device:
        raise UsageError(f"--device {arguments.device} and {device}: name two cameras", hint="leave out one of them")
    context = Context.open(console)
    load = find_project if arguments.anywhere else load_project
    project = load(Path(arguments.project))
    with device_connection(context, device or arguments.device, project, start=start) as connection:
        yield context, Files(connection, project, anywhere=arguments.anywhere)
