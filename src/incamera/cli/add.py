"""`incamera add NAME…`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_project_option, add_target_option
from incamera.units import format_bytes, format_count

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.workflows.add import Edited

# Beyond so many, libraries are counted instead of named.
_SHOWN = 6


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "add",
        execute,
        help="add packages to the project, and lock it",
        description="Add packages to the dependencies in pyproject.toml, and lock them. A NAME is a package "
        "('numpy', 'numpy>=1.24', 'requests[socks]'), or a wheel or a folder of yours ('./lamp'). One without version "
        "gets the chosen version as lower bound. When locking fails, nothing is changed.",
    )
    parser.add_argument("names", metavar="NAME", nargs="+", help="a package, a wheel or a folder")
    add_edit_options(parser)
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        choices=("wheel", "deb", "sdist", "emulated"),
        help="take the packages from this source: wheel, deb, sdist, emulated",
    )


def add_edit_options(parser: argparse.ArgumentParser) -> None:
    add_project_option(parser)
    add_target_option(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--dev",
        dest="group",
        action="store_const",
        const="dev",
        help="the dependency group `dev`: for your computer, not for the camera",
    )
    group.add_argument("--group", metavar="GROUP", help="this dependency group")
    group.add_argument(
        "--script", metavar="FILE", type=Path, help="the metadata block of this script, instead of a project"
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.add import EditRequest, add_packages

    request = EditRequest(
        texts=tuple(arguments.names),
        start=Path(arguments.project),
        group=arguments.group,
        source=arguments.source,
        target=arguments.target,
        script=arguments.script,
    )
    show(console, add_packages(Context.open(console), request), arguments, "added")
    return 0


def show(console: Console, edited: Edited, arguments: argparse.Namespace, verb: str) -> None:
    """Print what was changed, and what it costs."""
    if arguments.json:
        console.emit(_document(edited))
        return
    place = f"the group {arguments.group}" if arguments.group else "dependencies"
    if not edited.files:
        console.paragraph(f"nothing to do: {', '.join(edited.requirements)} is there already")
        return
    preposition = "from" if verb == "removed" else "to"
    console.paragraph(f"{verb} {', '.join(edited.requirements)} {preposition} {place}")
    for cost in edited.costs:
        _show_cost(console, cost)


def _show_cost(console: Console, cost: Any) -> None:
    more = [format_count(len(cost.added), "package")] if cost.added else []
    more += [format_count(len(cost.libraries), "Debian package")] if cost.libraries else []
    texts = [f"adds {' and '.join(more)}, {format_bytes(cost.bytes)} to download"] if more else []
    texts += [f"no longer needed: {', '.join(cost.removed)}"] if cost.removed else []
    console.paragraph(f"{cost.target}: {'; '.join(texts) or 'no other packages than before'}")
    if cost.added:
        rows = [[item.name, item.version, item.source, format_bytes(item.bytes)] for item in cost.added]
        console.table(["PACKAGE", "VERSION", "SOURCE", "SIZE"], rows)
    if cost.libraries:
        names = [item.name for item in cost.libraries[:_SHOWN]]
        others = len(cost.libraries) - len(names)
        size = sum(item.bytes for item in cost.libraries)
        console.paragraph(f"with {', '.join(names)}{f' and {others} more' if others else ''} ({format_bytes(size)})")
    for line in cost.changed:
        console.paragraph(f"changed {line}")


def _document(edited: Edited) -> dict[str, Any]:
    return {
        "project": str(edited.project),
        "requirements": list(edited.requirements),
        "files": [str(path) for path in edited.files],
        "targets": [
            {
                "target": cost.target,
                "added": [_package(item) for item in cost.added],
                "debs": [_package(item) for item in cost.libraries],
                "removed": list(cost.removed),
                "changed": list(cost.changed),
                "download_bytes": cost.bytes,
            }
            for cost in edited.costs
        ],
    }


def _package(item: Any) -> dict[str, Any]:
    return {"name": item.name, "version": item.version, "source": item.source, "bytes": item.bytes}
