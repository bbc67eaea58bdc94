"""`incamera lock`"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_project_option, add_target_option
from incamera.errors import UsageError
from incamera.units import format_count

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.context import Context
    from incamera.project.lock_changes import Change
    from incamera.project.locked import Lock
    from incamera.project.settings import Project
    from incamera.targets.target import Target


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "lock",
        execute,
        help="choose the packages for each target, and write them into lockfiles, with hashes",
        description="Choose a version and a source (wheel, deb, sdist, emulated) for each package and target, and "
        "write pylock.TARGET.toml. Versions that are locked already are kept where they still fit.",
    )
    add_project_option(parser)
    parser.add_argument(
        "--script", metavar="FILE", help="lock the packages of this script, in files beside it (PEP 723)"
    )
    add_target_option(parser)
    parser.add_argument(
        "--upgrade",
        nargs="*",
        metavar="NAME",
        help="choose the newest versions of these packages, or of all when no NAME follows",
    )
    parser.add_argument(
        "--explain",
        metavar="NAME",
        help="show which version and source a package has in the lockfile, and why; change nothing",
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.loading import load_project
    from incamera.project.program import load_script_project
    from incamera.project.targets import choose_targets

    context = Context.open(console)
    if arguments.script is not None:
        project = load_script_project(Path(arguments.script), None, context.reporter.warn)
    else:
        project = load_project(Path(arguments.project))
    targets = choose_targets(project, arguments.target)
    if arguments.explain is not None:
        if arguments.upgrade is not None:
            raise UsageError("--explain and --upgrade cannot be used together: --explain changes nothing")
        return _explain(console, context, project, targets, arguments)
    return _lock(console, context, project, targets, arguments)


def _lock(
    console: Console, context: Context, project: Project, targets: Sequence[Target], arguments: argparse.Namespace
) -> int:
    from packaging.utils import canonicalize_name  # lazy: start-up

    from incamera.project.lockfile import lock_path
    from incamera.project.settings import SOURCES
    from incamera.workflows.lock import make_locks

    names = [str(canonicalize_name(name)) for name in arguments.upgrade or []]
    everything = arguments.upgrade == []
    made = make_locks(context, project, targets, upgrade=everything, names=names)
    results = [(lock_path(project, target), *result) for target, result in zip(targets, made, strict=True)]
    if arguments.json:
        console.emit({"locks": [_document(path, lock, changes) for path, lock, changes in results]})
        return 0
    for path, lock, changes in results:
        counts = Counter(item.source for item in lock.distributions)
        counted = ", ".join(f"{counts[source]} {source}" for source in SOURCES if counts[source])
        counted = f"{format_count(len(lock.distributions), 'distribution')} ({counted}), " if counted else ""
        console.paragraph(
            f"{path.name}: {counted}{format_count(len(lock.debs), 'deb')}, {len(changes) or 'none'} changed"
        )
        for line in changes:
            console.paragraph(f"  {line}")
    return 0


def _document(path: Path, lock: Lock, changes: Sequence[Change]) -> Mapping[str, Any]:
    files = [item.file for item in lock.distributions if item.file is not None]
    return {
        "target": str(lock.target),
        "path": str(path),
        "debs": len(lock.debs),
        "distributions": [
            {"name": item.name, "version": item.version, "source": item.source, "why": item.why}
            for item in lock.distributions
        ],
        "download_bytes": sum(deb.size for deb in lock.debs) + sum(file.size or 0 for file in files),
        "changes": [str(change) for change in changes],
        "changed": [{"name": change.name, "before": change.before, "after": change.after} for change in changes],
    }


def _explain(
    console: Console, context: Context, project: Project, targets: Sequence[Target], arguments: argparse.Namespace
) -> int:
    from packaging.utils import canonicalize_name  # lazy: start-up

    from incamera.workflows.lock import ensure_lock, require_distribution

    name = str(canonicalize_name(arguments.explain))
    found = [(target, require_distribution(ensure_lock(context, project, target), name)) for target in targets]
    if arguments.json:
        console.emit(
            {
                "name": name,
                "targets": [
                    {
                        "target": str(target),
                        "version": item.version,
                        "source": item.source,
                        "why": item.why,
                        "passed_over": list(item.passed_over),
                        "requires": list(item.requires),
                    }
                    for target, item in found
                ],
            }
        )
        return 0
    for target, item in found:
        console.paragraph(f"{name} {item.version} for {target}: source {item.source}")
        console.paragraph(f"  {item.why}")
        for line in item.passed_over:
            console.paragraph(f"  not {line}")
        if item.requires:
            console.paragraph(f"  needs {', '.join(item.requires)}")
    return 0
