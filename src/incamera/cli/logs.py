"""`incamera logs`"""

from __future__ import annotations

import argparse
import re
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_project_option, add_script_option, load_named_project
from incamera.errors import UsageError

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.context import Context
    from incamera.runlog.log import Line, Run

_AGO = re.compile(r"(\d+)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "logs",
        execute,
        help="show the output of earlier runs, or the log of an installed app",
        description="Show what a run of this project printed, with the time of each line. The last runs of each "
        "project are kept on this computer. With --device, the newest run there; in a camera that was added with its "
        "https address alone, and with --app, the log that the camera keeps of the installed app.",
    )
    add_project_option(parser)
    add_script_option(parser)
    parser.add_argument("--device", metavar="NAME", help="show what ran, or is installed, in this device")
    parser.add_argument("--app", metavar="APP", help="show the log of this app, which is installed in the camera")
    parser.add_argument("--list", action="store_true", help="list the runs that are kept")
    parser.add_argument("--run", type=int, metavar="N", help="show this run (default: the newest)")
    parser.add_argument(
        "--since", metavar="TIME", help='leave out older lines: "90s", "10m", "2h", "14:30" or "2026-05-01 14:30"'
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="continue with new output until the run ends, or Ctrl-C"
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.connect.choose import is_web_alone  # lazy: start-up
    from incamera.context import Context
    from incamera.project.loading import find_project
    from incamera.runlog.log import list_runs, read_lines, require_run
    from incamera.runlog.output import project_logs

    since = parse_since(arguments.since, time.time()) if arguments.since else 0.0
    context = Context.open(console)
    if arguments.app or is_web_alone(context, arguments.device, project=find_project(Path(arguments.project))):
        return _show_installed(arguments, context, console)
    folder = project_logs(context, load_named_project(arguments, context))
    if arguments.list:
        _refuse_with_list(arguments)
        _show_runs(list_runs(folder, arguments.device), arguments.json, console)
        return 0
    run = require_run(folder, arguments.run, arguments.device)
    lines = (line for line in read_lines(folder, run, follow=arguments.follow) if line.time >= since)
    if arguments.json and not arguments.follow:
        console.emit({"run": _describe(run), "lines": [asdict(line) for line in lines]})
        return 0
    for line in lines:
        if arguments.json:
            # With --follow, each line is a JSON document of its own, because the run has not ended.
            console.emit_line(asdict(line))
        else:
            _show(line, console)
    return 0


def _refuse_with_list(arguments: argparse.Namespace) -> None:
    """Raises UsageError for options that choose what to show of one run."""
    for option, value in (("run", arguments.run), ("since", arguments.since), ("follow", arguments.follow)):
        if value:
            raise UsageError(f"--list and --{option} cannot be used together", hint="leave out one of them")


def _show_installed(arguments: argparse.Namespace, context: Context, console: Console) -> int:
    """Show the log of an app that is installed in a camera."""
    from incamera.cli.installed import open_app  # lazy: start-up
    from incamera.workflows.installed import read_app_log

    for option in ("list", "run", "since"):
        if getattr(arguments, option):
            raise UsageError(
                f"--{option} is about runs, and the log of an installed app has none",
                hint="leave out --app and name a device with SSH, or leave out the option",
            )
    with open_app(arguments, console) as (client, name):
        for part in read_app_log(context, client, name, follow=arguments.follow):
            if part.has_gap:
                console.warn(f"{client.device} no longer has the lines that followed: some may be missing here")
            if arguments.json and not arguments.follow:
                console.emit({"device": str(client.device), "app": name, "entries": [asdict(e) for e in part.entries]})
                continue
            for entry in part.entries:
                if arguments.json:
                    console.emit_line(asdict(entry))
                else:
                    console.print(str(entry))
    return 0


def parse_since(text: str, now: float) -> float:
    """Return the time that *text* means, in seconds since 1970: so long ago, a time of today, or a date.

    Raises UsageError.
    """
    today = datetime.fromtimestamp(now).date()
    with suppress(OverflowError):  # longer ago than the year 1
        if match := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])}).total_seconds()
        for candidate in (text, f"{today.isoformat()} {text}"):
            with suppress(ValueError):
                return datetime.fromisoformat(candidate).timestamp()
    raise UsageError(
        f'--since "{text}" is not a time', hint='write, for example, "10m", "2h", "14:30" or "2026-05-01 14:30"'
    )


def _show(line: Line, console: Console) -> None:
    when = datetime.fromtimestamp(line.time)
    time = f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}"
    console.app_line(time, line.text, is_error=line.stream == "stderr")


def _show_runs(runs: list[Run], as_json: bool, console: Console) -> None:
    if as_json:
        console.emit({"runs": [_describe(run) for run in runs]})
        return
    rows = [
        [str(run.number), f"{datetime.fromtimestamp(run.began):%Y-%m-%d %H:%M:%S}", run.device, _end(run), run.command]
        for run in runs
    ]
    if rows:
        console.table(("RUN", "BEGAN", "DEVICE", "ENDED", "COMMAND"), rows)
    else:
        console.info("there is no log of this project yet; `incamera run` runs the app and keeps a log")


def _describe(run: Run) -> dict[str, Any]:
    return {**asdict(run), "running": run.running}


def _end(run: Run) -> str:
    if run.running:
        return "running"
    if run.ended is None or run.exit_code is None:
        return "interrupted"
    return f"{run.exit_code} after {run.ended - run.began:.1f} s"
