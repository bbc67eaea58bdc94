"""`incamera connections` and `incamera connections close`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "connections",
        help="connections that are kept open for the next command",
        description="Connections to devices are kept open for ten minutes after their last use. So the next command "
        "starts sooner.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    add_command(actions, "list", execute_list, help="list the connections that are kept open")
    close = add_command(
        actions,
        "close",
        execute_close,
        help="end connections, and what waits in the camera for the next run",
        description="End the connections that are kept open to a device, or all of them, and what waits in the camera "
        "for the next run. Commands that use one of them lose it.",
    )
    close.add_argument("name", nargs="?", metavar="NAME", help="the device (default: all)")


def execute_list(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.holder.client import list_connections

    pid, connections = list_connections(Context.open(console).store.root)
    if arguments.json:
        console.emit({"pid": pid, "connections": connections})
        return 0
    import time  # lazy: start-up

    from incamera.units import format_age

    if connections:
        console.table(
            ("DEVICE", "ADDRESS", "OPEN FOR", "USES", "IDLE FOR", "WAITING APPS"),
            [
                (
                    connection["device"],
                    connection["address"],
                    format_age(time.time() - connection["since"]),
                    str(connection["uses"]),
                    "in use" if (idle := connection["idle_seconds"]) is None else format_age(idle),
                    ", ".join(connection["waiting"]) or "-",
                )
                for connection in connections
            ],
        )
    console.info(f"held by process {pid}" if connections else "no connection is kept open")
    return 0


def execute_close(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.holder.client import close_connections

    killed: list[int] = []

    def tell(pid: int) -> None:
        killed.append(pid)
        console.warn(f"process {pid}, which kept connections open, did not answer: killed it, and so ended them all")

    closed = close_connections(Context.open(console).store.root, arguments.name, on_killed=tell)
    if arguments.json:
        console.emit(
            {"closed": [connection["device"] for connection in closed], "killed": killed[0] if killed else None}
        )
    elif killed:
        return 0
    elif closed:
        console.paragraph(f"closed: {', '.join(connection['device'] for connection in closed)}")
    else:
        console.info(f"no connection to {arguments.name or 'any device'} is kept open")
    return 0
