"""`incamera top`"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_device_option, add_project_option
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.observe.processes import Sample
    from incamera.project.settings import Project

_COLUMNS = ("PID", "APP", "ROLE", "CPU %", "MEMORY", "OWN SHARE", "PEAK", "THREADS", "FILES", "COMMAND")
_LONGEST_SECONDS = 3600.0


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "top",
        execute,
        help="show what the app uses in the camera: processor, memory, threads, files",
        description="Show the processes that incamera started in the camera and what they use, until Ctrl-C. With "
        "--flame, record where the app spends its time.",
    )
    add_project_option(parser)
    add_device_option(parser)
    parser.add_argument("--once", action="store_true", help="print one sample and exit")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="the time between two samples (default: 1)")
    parser.add_argument(
        "--flame",
        type=Path,
        metavar="FILE",
        help="record where the app spends its time: FILE.svg is a flame graph, FILE.json is for Speedscope",
    )
    parser.add_argument("--seconds", type=int, metavar="N", help="record for N seconds (default: 10)")
    parser.add_argument("--pid", type=int, metavar="N", help="record this process (default: the busiest app)")


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.loading import find_project
    from incamera.workflows.top import device_connection, watch_device

    _check(arguments)
    context = Context.open(console)
    project = find_project(Path(arguments.project))
    if arguments.flame is not None:
        return _draw(context, project, arguments, console)
    with device_connection(context, arguments.device, project) as connection, console.live_table() as show:
        before: Sample | None = None
        samples = watch_device(connection, every=arguments.every)
        try:
            for sample in samples:
                document = _describe(sample, before, str(connection.device))
                if arguments.json and arguments.once:
                    console.emit(document)
                elif arguments.json:
                    # The samples have no end, so each one is a document of its own.
                    console.emit_line(document)
                else:
                    show(_headline(sample, document["device"]), *_table(document["processes"]))
                if arguments.once:
                    return 0
                before = sample
        except KeyboardInterrupt:
            return 0
        finally:
            samples.close()
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Fill in the defaults. Raises UsageError for values that are not possible, and for options without effect."""
    from incamera.errors import UsageError  # lazy: start-up

    flame = arguments.flame
    for option in ("seconds", "pid") if flame is None else ("once", "every"):
        if not getattr(arguments, option):
            continue
        if flame is None:
            raise UsageError(f"--{option} is for --flame", hint=f"leave it out, or type --flame FILE.svg --{option} …")
        raise UsageError(f"--flame and --{option} cannot be used together", hint=f"leave --{option} out")
    arguments.seconds = 10 if arguments.seconds is None else arguments.seconds
    arguments.every = 1.0 if arguments.every is None else arguments.every
    if arguments.seconds < 1:
        raise UsageError(f"--seconds {arguments.seconds}: the number must be greater than 0")
    if not 0 < arguments.every <= _LONGEST_SECONDS:
        raise UsageError(f"--every {arguments.every:g}: the number must be greater than 0, and at most 3600")
    if flame is not None and flame.suffix not in (".svg", ".json"):
        raise UsageError(
            f"--flame {flame}: the name must end with .svg or .json",
            hint="out.svg is a flame graph for a browser, out.speedscope.json is for https://www.speedscope.app",
        )
    if flame is not None and not flame.absolute().parent.is_dir():
        raise UsageError(f"--flame: there is no folder {flame.parent}", hint="make it, or correct the path")


def _draw(context: Any, project: Project | None, arguments: argparse.Namespace, console: Console) -> int:
    from incamera.disk import write_output  # lazy: start-up
    from incamera.observe.flame_graph import draw_flame
    from incamera.observe.speedscope import render_speedscope
    from incamera.workflows.flame import record_flame
    from incamera.workflows.top import device_connection

    with device_connection(context, arguments.device, project) as connection:
        flame = record_flame(context, connection, project=project, pid=arguments.pid, seconds=arguments.seconds)
        if arguments.flame.suffix == ".svg":
            data = draw_flame(flame.recording.count_stacks(), flame.title, flame.summary)
        else:
            data = render_speedscope(flame.recording, flame.title)
        write_output(arguments.flame, data)
        if arguments.json:
            console.emit(
                {
                    "device": str(connection.device),
                    "pid": flame.process.pid,
                    "command": flame.process.command,
                    "seconds": arguments.seconds,
                    "samples": flame.recording.samples,
                    "flame": str(arguments.flame),
                }
            )
        else:
            console.print(str(arguments.flame))
    return 0


def _describe(sample: Sample, before: Sample | None, device: str) -> dict[str, Any]:
    usage = sample.usage_since(before)
    return {
        "device": device,
        "uptime": sample.uptime,
        "memory_free": sample.free,
        "memory_total": sample.total,
        "processes": [
            {
                "pid": process.pid,
                "role": process.role,
                "app": process.app,
                "run": process.run,
                "command": process.command,
                "cpu_percent": round(usage[process.pid], 1),
                "cpu_seconds": process.ticks / 100,
                "resident": process.resident,
                "proportional": process.proportional,
                "peak": process.peak,
                "threads": process.threads,
                "files": process.files,
            }
            for process in sample.processes
        ],
    }


def _headline(sample: Sample, device: str) -> str:
    names = dict.fromkeys(process.app or process.command for process in sample.processes if process.role.of_app)
    running = (
        f"{', '.join(names)} {'runs' if len(names) == 1 else 'run'}" if names else "no app that incamera started runs"
    )
    return f"{device}: {running}, {format_bytes(sample.free)} of {format_bytes(sample.total)} RAM free"


def _table(processes: Sequence[dict[str, Any]]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    rows = [_row(process) for process in processes]
    if len({process["app"] for process in processes} - {""}) > 1:
        return _COLUMNS, rows
    # The headline names the only app, so its column is left out.
    place = _COLUMNS.index("APP")
    columns, *rows = [[*row[:place], *row[place + 1 :]] for row in (_COLUMNS, *rows)]
    return columns, rows


def _row(process: dict[str, Any]) -> list[str]:
    share = process["proportional"]
    return [
        str(process["pid"]),
        process["app"] or "–",
        process["role"],
        f"{process['cpu_percent']:.1f}",
        format_bytes(process["resident"]),
        "–" if share is None else format_bytes(share),
        format_bytes(process["peak"]),
        str(process["threads"]),
        str(process["files"]),
        process["command"],
    ]
