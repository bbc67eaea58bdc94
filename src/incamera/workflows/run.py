"""run: deploy what is stale, then the app, or the bare interpreter, in the camera as if it ran here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.errors import ConfigError
from incamera.workflows.deploy import deployed

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.workflows.deploy import Wish


def run_app(
    context: Context,
    project: Project,
    *,
    arguments: Sequence[str],
    device: str | None,
    target: str | None,
    audit: bool = True,
    wish: Wish | None = None,
) -> int:
    """Run the project's app with *arguments*. Returns its exit code."""
    words = [*project.entry.to_arguments(), *arguments]
    return _run(context, project, words, device, target, audit, wish, door=project.name)


def run_python(
    context: Context,
    project: Project,
    *,
    arguments: Sequence[str],
    device: str | None,
    target: str | None,
    audit: bool = True,
    wish: Wish | None = None,
) -> int:
    """Run the interpreter, with the app's packages and the app itself to import. Returns its exit code."""
    if arguments and project.has_build_system and not arguments[0].startswith("-"):
        _require_in_wheel(project, arguments[0])
    # What the interpreter prints may be anything, and much: only the app's runs are kept.
    return _run(context, project, arguments, device, target, audit, wish, keep=False)


def _require_in_wheel(project: Project, script: str) -> None:
    """Raises ConfigError for a script of the project that a wheel does not bring to the camera."""
    if (project.folder / script).is_file() and script != project.entry.file:
        raise ConfigError(
            f"{script} is not in the camera: with a [build-system], only what the wheel holds goes there",
            hint=f"type `incamera python - < {script}`, or make it a module of the package and type `-m`",
        )


def _run(
    context: Context,
    project: Project,
    arguments: Sequence[str],
    device: str | None,
    target: str | None,
    audit: bool,
    wish: Wish | None,
    *,
    keep: bool = True,
    door: str | None = None,
) -> int:
    from incamera.device.run import AppCommand
    from incamera.runlog.output import run_shown

    with deployed(context, project, device=device, target=target, audit=audit, wish=wish) as done:
        root = done.result.root
        command = AppCommand(words=(f"{root}/bin/python3", *arguments), folder=f"{root}/app", door=door)
        return run_shown(context, project, done, command, keep=keep)
