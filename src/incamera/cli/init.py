"""`incamera init [FOLDER]`"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.project.adoption.entry import EntryChoice
    from incamera.project.adoption.project_tables import Adoption


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "init",
        execute,
        help="add to your own project what it lacks to run in a camera",
        description="Add to a folder what it lacks to run in a camera. It may be a project of uv, Poetry, PDM, Hatch, "
        "Flit or setuptools, or have a requirements.txt or a script. The changes are shown first; on a terminal, you "
        "are asked. Nothing else in your files is changed.",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="the folder (default: this one)")
    add_init_options(parser)


def add_init_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--entry", metavar="ENTRY", help="what `incamera run` starts: app.py, PACKAGE, or PACKAGE.MODULE:FUNCTION"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show the changes, and make none")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.workflows.init import NEW, InitRequest, apply_init, plan_init  # lazy: start-up

    def choose(choices: Sequence[EntryChoice]) -> str | None:
        position = console.choose("which of these is the app?", [choice.entry for choice in choices])
        return None if position is None else choices[position].entry

    folder = Path(arguments.folder)
    request = InitRequest(folder=folder.absolute(), entry=arguments.entry)
    found = plan_init(request, choose=choose, environment=os.environ)
    is_new = found.kind == NEW  # nothing of the user's is changed
    asks = console.can_ask and not arguments.yes and not arguments.json and not is_new

    def confirm(diff: str) -> bool:
        if not arguments.json and (arguments.dry_run or not is_new):
            console.print(diff)
        for note in found.notes:
            console.info(note)
        return not arguments.dry_run and (not asks or console.confirm("make these changes?"))

    written = apply_init(found, confirm=confirm)
    if arguments.json:
        console.emit(_document(found, written=written))
    elif not found.changes:
        console.paragraph(f"nothing to do: `{next_command(folder)}` works as it is")
    elif arguments.dry_run:
        console.paragraph("nothing was changed: this was a dry run")
    elif not written:
        console.paragraph("nothing was changed")
    else:
        names = ", ".join(change.path.name for change in found.changes)
        verb = "made" if all(change.before is None for change in found.changes) else "changed"
        console.paragraph(f"{verb} {names}: {found.kind}, its entry is {found.entry}")
        console.print(f"now type: {next_command(folder)}")
    return 0 if written or arguments.dry_run else 1


def next_command(folder: Path) -> str:
    """Return what to type to run the project in *folder*."""
    import shlex  # lazy: start-up

    is_here = folder.absolute() == Path.cwd() or str(folder) == "."
    return "incamera run" if is_here else f"cd {shlex.quote(str(folder))} && incamera run"


def _document(found: Adoption, *, written: bool) -> dict[str, Any]:
    from incamera.project.changes import describe  # lazy: start-up

    return {
        "project": str(found.folder),
        "kind": found.kind,
        "entry": found.entry,
        "files": [str(change.path) for change in found.changes],
        "changed": written and bool(found.changes),
        "diff": describe(found.changes, found.folder),
        "notes": list(found.notes),
    }
