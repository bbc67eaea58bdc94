"""`incamera lock`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_project_option, add_target_option

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "lock",
        execute,
        help="choose the packages for each target, and write them down with their hashes",
        description="Choose the packages for each target from what the archive has now, and write pylock.TARGET.toml.",
    )
    add_project_option(parser)
    add_target_option(parser)


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.project.lockfile import lock_path
    from incamera.project.settings import load_project
    from incamera.workflows.context import Context
    from incamera.workflows.lock import make_lock
    from incamera.workflows.targets import choose_targets

    context = Context.open(console)
    project = load_project(Path(arguments.project))
    results = [
        (lock_path(project, target), *make_lock(context, project, target))
        for target in choose_targets(project, arguments.target)
    ]
    if arguments.json:
        console.emit(
            {
                "locks": [
                    {
                        "target": str(lock.target),
                        "path": str(path),
                        "debs": len(lock.debs),
                        "download_bytes": sum(deb.size for deb in lock.debs),
                        "changes": list(changes),
                    }
                    for path, lock, changes in results
                ]
            }
        )
        return 0
    for path, lock, changes in results:
        console.print(
            f"{path.name}: {len(lock.debs)} packages, " + (f"{len(changes)} changed" if changes else "unchanged")
        )
        for line in changes:
            console.print(f"  {line}")
    return 0
