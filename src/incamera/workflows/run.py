"""run, python: deploy what is stale, then run the app or the interpreter in the camera, attached to this terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.errors import ConfigError
from incamera.project.entry_check import checked_entry
from incamera.runlog.output import run_shown
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.request import DeployRequest
    from incamera.project.settings import Project


def run_app(context: Context, project: Project, arguments: Sequence[str], request: DeployRequest | None = None) -> int:
    """Run the project's app with *arguments*. Returns its exit code."""
    entry = checked_entry(project)
    with deployed(context, project, request, starts=True) as done:
        root = done.result.root
        words = (f"{root}/bin/python3", *entry.to_arguments(), *arguments)
        program = Program(words, folder=f"{root}/app")
        return run_shown(context, project, done, program, attach_as=project.name)


def run_python(
    context: Context, project: Project, arguments: Sequence[str], request: DeployRequest | None = None
) -> int:
    """Run the interpreter, which can import the app and its packages. Returns its exit code."""
    if arguments and project.has_build_system and not arguments[0].startswith("-"):
        _require_in_wheel(project, arguments[0])
    with deployed(context, project, request) as done:
        root = done.result.root
        program = Program((f"{root}/bin/python3", *arguments), folder=f"{root}/app")
        # Only the app's output is kept for `incamera logs`. The interpreter's may be large.
        return run_shown(context, project, done, program, keep=False)


def _require_in_wheel(project: Project, script: str) -> None:
    """Raises ConfigError for a script of the project that a wheel does not bring to the camera."""
    if (project.folder / script).is_file() and script not in project.loose_files:
        raise ConfigError(
            f"{script} is not in the camera: with a [build-system], only the wheel's files are sent there",
            hint=f"type `incamera python - < {script}`, or move it into the package and type "
            "`incamera python -m MODULE`",
        )
