"""`incamera audit`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_command,
    add_project_option,
    add_script_option,
    add_target_option,
    load_named_project,
)
from incamera.errors import UsageError
from incamera.units import format_count

if TYPE_CHECKING:
    from incamera.abi.findings import Report
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "audit",
        execute,
        help="check, before anything is sent, what would not work in the camera",
        description="Check the project's bundle, or a wheel, an .eap, a folder or an ELF file, against the libraries "
        "of a camera. Nothing is run, and without --device no camera is used.",
    )
    parser.epilog = "The exit code is 1 when there are errors. docs/reference/audit.md explains each kind of finding."
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="a wheel, an .eap, a folder, an ELF file, a script (default: the project's bundle)",
    )
    add_project_option(parser)
    add_script_option(parser)
    add_target_option(parser)
    against = parser.add_mutually_exclusive_group()
    against.add_argument(
        "--profile", metavar="NAME", help="check against the AXIS OS of this profile, for example axis-os-11-armv7hf"
    )
    against.add_argument("--device", metavar="NAME", help="check against the libraries of this device")
    parser.add_argument(
        "--graph",
        type=Path,
        metavar="FILE",
        help="write which file needs which library into FILE.dot, for Graphviz, or FILE.html, as tables",
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up

    if arguments.graph is not None and arguments.graph.suffix not in (".dot", ".html"):
        raise UsageError(
            f"--graph {arguments.graph}: the name must end with .dot or .html",
            hint="to get a picture, write needs.dot, then: dot -Tsvg -o needs.svg needs.dot",
        )
    if arguments.path is not None and "://" in arguments.path:
        raise UsageError(f'"{arguments.path}" is a URL', hint="download the file, and name it here")
    context = Context.open(console)
    against = {"device": arguments.device, "profile": arguments.profile, "target": arguments.target}
    if arguments.path is not None and arguments.path.endswith(".py"):
        arguments.script, arguments.path = arguments.path, None
    elif arguments.path is not None and _is_project(Path(arguments.path)):
        arguments.project, arguments.path = arguments.path, None
    if arguments.path is not None:
        from incamera.workflows.audit_file import audit_file  # lazy: start-up

        judged = [audit_file(context, Path(arguments.path), **against)]
    else:
        from incamera.workflows.audit import audit_project  # lazy: start-up

        judged = audit_project(context, load_named_project(arguments, context), **against)
    if arguments.graph is not None:
        from incamera.abi.graph import render_dot, render_html  # lazy: start-up
        from incamera.disk import write_output

        render = render_dot if arguments.graph.suffix == ".dot" else render_html
        write_output(arguments.graph, render(judged).encode())
    reports = [report for report, _ in judged]
    if arguments.json:
        # The first report's fields are at the top level too, for scripts that build for one target.
        console.emit({**reports[0].to_json(), "reports": [report.to_json() for report in reports]})
    else:
        for report in reports:
            _print_report(console, report)
    return 0 if all(report.compatible for report in reports) else 1


def _is_project(path: Path) -> bool:
    """Return whether *path* is the folder of a project, and not that of a bundle or of an unpacked package."""
    others = ("etc/launcher", "manifest.json", "package.conf")
    return (path / "pyproject.toml").is_file() and not any((path / name).exists() for name in others)


def _print_report(console: Console, report: Report) -> None:
    if report.findings:
        rows = [[item.severity, item.kind, item.file, item.needs, item.provides] for item in report.findings]
        console.table(["", "KIND", "FILE", "NEEDS", "THERE IS"], rows)
        console.print("")
        for kind, remedy in dict.fromkeys((item.kind, item.remedy) for item in report.findings):
            console.paragraph(f"{kind}: {remedy}")
        console.print("")
    errors, warnings = len(report.errors), len(report.findings) - len(report.errors)
    found = (
        f"{format_count(errors, 'error')}, {format_count(warnings, 'warning')}" if report.findings else "nothing found"
    )
    console.paragraph(f"{report.subject} on {report.policy}: {found} in {format_count(report.files, 'file')}")
    console.paragraph(f"loader: {report.loader}")
    for limit in report.limits:
        console.paragraph(f"not checked: {limit}")
