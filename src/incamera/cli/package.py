"""`incamera package`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.checks import check_to_json, show_check
from incamera.cli.parser import add_command, add_project_option, add_target_option
from incamera.units import format_bytes, format_count

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.workflows.package import Package

DEFAULT_FOLDER = "dist"
# How many names of what was left out are shown.
_MOST_NAMES = 12
GENERATIONS = ("11", "12", "13")


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "package",
        execute,
        help="make the .eap for each target, the file that a camera installs",
        description="Make the .eap for each target, the file that a camera installs. A stale bundle is built first. "
        "The settings are in [tool.incamera.package]; without them, the project's own name, version and author are "
        "used.",
    )
    add_project_option(parser)
    add_target_option(parser)
    parser.add_argument(
        "--for",
        dest="generations",
        metavar="VERSION",
        action="append",
        choices=GENERATIONS,
        help="say what this AXIS OS demands of the package, and what to change: 11, 12 or 13. The exit code is 1 when "
        "it would refuse the package. May be repeated",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help=f"the folder for the package (default: {DEFAULT_FOLDER} in the project's folder)",
    )
    parser.add_argument(
        "--gzip",
        metavar="PROGRAM",
        choices=("zlib", "gnu"),
        default="zlib",
        help="what compresses it: zlib, or gnu, this computer's gzip, as the vendor's tool does (default: zlib)",
    )
    parser.add_argument(
        "--sign",
        action="store_true",
        help="sign it with sign-command of [tool.incamera.package], and check that the signed file is the package with "
        "a signature behind it",
    )
    parser.add_argument(
        "--trim",
        nargs="?",
        const=True,
        type=Path,
        metavar="FILE",
        help="leave out what the app cannot import: byte-code without sources, no tests, no unused modules and "
        "libraries. --trim=FILE keeps the modules of a recorded run, too: one a line, or the output of "
        "`python -X importtime`",
    )
    parser.epilog = "docs/how-to/make-a-package.md shows what to write into pyproject.toml, and what a camera demands."


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.entry_check import check_declared_entry
    from incamera.project.loading import load_project
    from incamera.project.targets import choose_targets
    from incamera.workflows.package import build_package, write_package
    from incamera.workflows.package_sign import require_sign_command, sign_package

    recorded = _recorded(arguments.trim)
    context = Context.open(console)
    project = load_project(Path(arguments.project))
    check_declared_entry(project)
    command = require_sign_command(project) if arguments.sign else None
    folder = arguments.output or project.folder / DEFAULT_FOLDER
    made = []
    for target in choose_targets(project, arguments.target):
        package = build_package(
            context,
            project,
            target,
            gnu_gzip=arguments.gzip == "gnu",
            generations=arguments.generations,
            recorded=recorded,
        )
        path = write_package(package, folder)
        signed = sign_package(context, project, command, path) if command is not None else None
        made.append((package, path, signed))
    if arguments.json:
        console.emit({"packages": [_to_json(*one) for one in made]})
    else:
        for package, path, signed in made:
            _show(console, package, path, full=arguments.generations is not None)
            if signed is not None:
                console.paragraph(f"signed: {signed}")
    refused = any(check.problems for package, _, _ in made for check in package.checks)
    return 1 if refused and arguments.generations is not None else 0


def _recorded(trim: Path | bool | None) -> list[str] | None:
    """Return the modules that --trim=FILE names; none for --trim alone, and None without it."""
    if not isinstance(trim, Path):
        return [] if trim else None
    from incamera.workflows.package_trim import read_record  # lazy: start-up

    return read_record(trim)


def _show(console: Console, package: Package, path: Path, *, full: bool) -> None:
    """Print the sizes of *package*. Where it is refused is a warning; with *full*, all that is demanded is a result."""
    if full:
        for check in package.checks:
            show_check(console, check)
    else:
        for check in package.checks:
            for problem, remedy in check.problems:
                console.warn(f"{problem}: {remedy}")
    rows = [[part.name, str(part.files), format_bytes(part.installed)] for part in package.parts]
    total = sum(part.files for part in package.parts)
    rows.append(["all", str(total), format_bytes(package.installed), format_bytes(package.packed)])
    console.table(["PART", "FILES", "INSTALLED", "PACKED"], [[*row, ""][:4] for row in rows])
    console.print("")
    if package.trim is not None:
        names = ", ".join(f"{name} {format_bytes(size)}" for name, size in package.dropped[:_MOST_NAMES])
        more = f" and {len(package.dropped) - _MOST_NAMES} more" if len(package.dropped) > _MOST_NAMES else ""
        files, size = format_count(len(package.trim.dropped), "file"), sum(size for _, size in package.dropped)
        console.paragraph(f"left out: {files}, {format_bytes(size)}: {names}{more}; --json lists them")
    console.paragraph(f"{package.target}: {path}")
    console.paragraph(f"sha256 of the tar inside: {package.tar_sha256}")


def _to_json(package: Package, path: Path, signed: Path | None) -> dict[str, Any]:
    return {
        "target": str(package.target),
        "path": str(path),
        "signed_path": str(signed) if signed is not None else None,
        "app_name": package.manifest.app_name,
        "version": package.manifest.setup["version"],
        "schema_version": package.manifest.document["schemaVersion"],
        "packed_bytes": package.packed,
        "installed_bytes": package.installed,
        "sha256": package.sha256,
        "tar_sha256": package.tar_sha256,
        "compressor": package.compressor,
        "parts": [
            {"name": part.name, "files": part.files, "installed_bytes": part.installed} for part in package.parts
        ],
        "excluded": list(package.excluded),
        "trim": package.trim
        and {
            "dropped_bytes": sum(size for _, size in package.dropped),
            "dropped": list(package.trim.dropped),
            "opaque": list(package.trim.opaque),
        },
        "checks": [check_to_json(check) for check in package.checks],
    }
