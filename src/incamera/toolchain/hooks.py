"""Calling a hook of a project's build back end, and what is said when that cannot be done."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyproject_hooks

from incamera.errors import BuildError, ConfigError

if TYPE_CHECKING:
    from incamera.toolchain.build_system import BuildSystem

Runner = Callable[[Sequence[str], str | None, Mapping[str, str] | None], None]
"""Runs a command, in a folder, with more of an environment: the hook's process."""


def call_hook(
    system: BuildSystem,
    hook: str,
    arguments: Sequence[str],
    *,
    project: Path,
    python: Path | str,
    settings: Mapping[str, str | list[str]],
    run: Runner,
) -> Any:
    """Return what *hook* does. What *run* raises is let through; BuildError and ConfigError tell of the back end."""

    def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        run(cmd, cwd, extra_environ)

    try:
        caller = pyproject_hooks.BuildBackendHookCaller(
            str(project),
            system.backend,
            None if system.backend_path is None else list(system.backend_path),
            runner=runner,
            python_executable=str(python),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the back end's; they are in the log
            return getattr(caller, hook)(*arguments, config_settings=dict(settings) or None)
    except pyproject_hooks.BackendUnavailable as error:
        raise BuildError(
            f'the build back end "{system.backend}" cannot be imported: {error}',
            hint="is the package that holds it named in build-system.requires?",
        ) from error
    except (pyproject_hooks.HookMissing, pyproject_hooks.UnsupportedOperation) as error:
        raise BuildError(f"{system.backend} cannot build a wheel: {error}") from error
    except ValueError as error:  # backend-path leads out of the project
        raise ConfigError(f"build-system.backend-path: {error}") from error
