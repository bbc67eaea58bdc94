"""`incamera store path|verify|clean`"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.console import Console

_DAY = 24 * 3600
_MOST_DIGITS = 6


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "store",
        help="the store: path, verify, clean",
        description="The store: the folder that keeps downloads and builds.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    add_command(actions, "path", execute_path, help="print where the store is")
    add_command(
        actions, "verify", execute_verify, help="check the hash of every file in the store, and remove damaged ones"
    )
    clean = add_command(
        actions,
        "clean",
        execute_clean,
        help="remove files that have not been used for some time",
        description="Remove files that have not been used for some time. Devices and host keys are kept.",
    )
    age = clean.add_mutually_exclusive_group()
    age.add_argument("--all", action="store_true", help="remove everything that can be fetched or built again")
    age.add_argument(
        "--days", type=_days, default=30, metavar="N", help="keep files that were used in the last N days (default: 30)"
    )


def execute_path(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.store import find_store_path  # lazy: start-up

    path = find_store_path(os.environ)
    if arguments.json:
        console.emit({"path": str(path)})
    else:
        console.print(str(path))
    return 0


def execute_verify(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up

    count, faults = Context.open(console).store.verify()
    if arguments.json:
        console.emit({"checked": count, "faults": [{"name": fault.name, "problem": fault.problem} for fault in faults]})
    else:
        for fault in faults:
            console.paragraph(f"removed {fault.name}: {fault.problem}")
        console.paragraph(f"{count} checked, {len(faults)} faulty")
    return 1 if faults else 0


def execute_clean(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up

    # A negative age includes files that were made within this second.
    freed = Context.open(console).store.clean(unused_for_seconds=-1 if arguments.all else arguments.days * _DAY)
    if arguments.json:
        console.emit({"freed_bytes": freed})
    else:
        console.paragraph(f"freed {format_bytes(freed)}")
    return 0


def _days(text: str) -> int:
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of days')
    return int(text)
