"""run, python: deploy what is stale, then run the app or the interpreter in the camera, attached to this terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.deployment.request import DeployRequest
from incamera.edit.messages import describe_killed_run
from incamera.errors import ConfigError
from incamera.project.entry_check import check_entry_syntax
from incamera.project.targets import choose_targets
from incamera.runlog.output import run_shown
from incamera.transport.protocols import Program
from incamera.workflows.held import Command, run_and_hold, run_held

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.settings import Project


def run_app(context: Context, project: Project, arguments: Sequence[str], request: DeployRequest | None = None) -> int:
    """Run the project's app with *arguments*. Returns its exit code."""
    request = request or DeployRequest()
    check_entry_syntax(project, {target.python for target in choose_targets(project, request.target)})
    words = [*project.require_entry().to_arguments(), *arguments]
    return _run(context, project, Command(arguments=words), request, attach_as=project.name)


def run_python(
    context: Context, project: Project, arguments: Sequence[str], request: DeployRequest | None = None
) -> int:
    """Run the interpreter, which can import the app and its packages. Returns its exit code."""
    if arguments and project.has_build_system and not arguments[0].startswith("-"):
        _require_in_wheel(project, arguments[0])
    # Only the app's output is kept for `incamera logs`. The interpreter's may be large.
    command = Command(arguments=list(arguments), keep=False, preload=False)
    return _run(context, project, command, request or DeployRequest(), attach_as=None)


def _run(context: Context, project: Project, command: Command, request: DeployRequest, *, attach_as: str | None) -> int:
    can_fork = _can_fork(command.arguments)
    if can_fork and (code := run_held(context, project, command, request)) is not None:
        return code
    from incamera.workflows.deploy import deployed  # lazy: an app that is forked is neither built nor deployed

    with deployed(context, project, request, starts=attach_as is not None) as done:
        if can_fork and (code := run_and_hold(context, project, command, request, done)) is not None:
            return code
        root = done.result.root
        words = (f"{root}/bin/python3", *command.arguments)
        program = Program(words, folder=f"{root}/app", environment=done.app_environment)
        end = run_shown(context, project, done, program, attach_as=attach_as, keep=command.keep)
    if killed := describe_killed_run(end):
        context.reporter.warn(killed)
    return end.code


def _can_fork(arguments: Sequence[str]) -> bool:
    """Return whether a fork can do what `python3 ARGUMENTS` does: options take effect only when Python starts."""
    return bool(arguments) and (arguments[0] in ("-c", "-m") or not arguments[0].startswith("-"))


def _require_in_wheel(project: Project, script: str) -> None:
    """Raises ConfigError for a script of the project that a wheel does not bring to the camera."""
    if (project.folder / script).is_file() and script not in project.loose_files:
        raise ConfigError(
            f"{script} is not in the camera: with a [build-system], only the wheel's files are sent there",
            hint=f"type `incamera python - < {script}`, or move it into the package and type "
            "`incamera python -m MODULE`",
        )
