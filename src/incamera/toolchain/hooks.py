"""Calls a hook of a project's build back end, and explains errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyproject_hooks

from incamera.archives import BadArchive, read_inside
from incamera.errors import BuildError, ConfigError
from incamera.toolchain.explain import explain_import_error

if TYPE_CHECKING:
    from incamera.toolchain.build_system import BuildSystem

Runner = Callable[[Sequence[str], str | None, Mapping[str, str] | None], None]
"""Runs a command, in a folder, with additional environment variables."""


# In bytes. Nobody has so many requirements.
_MAX_ANSWER = 1_000_000


def _check_answer(folder: Path, backend: str) -> None:
    """Raise BuildError when the answer in *folder*, to which the build could write, is no file, or is too long.

    (pyproject_hooks would follow a link, or wait for a pipe.)
    """
    try:
        read_inside(folder, "output.json", limit=_MAX_ANSWER)
    except FileNotFoundError:
        pass  # pyproject_hooks says what that means
    except (OSError, BadArchive) as error:
        raise BuildError(f"the answer of the build back end {backend} cannot be read: {error}") from error


def require_strings(answer: Any, hook: str) -> tuple[str, ...]:
    """Return *answer*, that of *hook*, which must be a list of strings. Raises BuildError."""
    if not isinstance(answer, list) or not all(isinstance(item, str) for item in answer):
        raise BuildError(f"the build back end returned no list of requirements from {hook}")
    return tuple(answer)


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
    """Return what *hook* returns for *arguments*. *run* runs it with *python*, in the folder *project*.

    Raises BuildError when the back end cannot be imported or cannot build wheels, ConfigError for an invalid
    backend-path, and what *run* raises.
    """

    def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        run(cmd, cwd, extra_environ)
        _check_answer(Path(cmd[-1]), system.backend)

    try:
        caller = pyproject_hooks.BuildBackendHookCaller(
            str(project),
            system.backend,
            None if system.backend_path is None else list(system.backend_path),
            runner=runner,
            python_executable=str(python),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the back end, which are in the log
            return getattr(caller, hook)(*arguments, config_settings=dict(settings) or None)
    except pyproject_hooks.BackendUnavailable as error:
        reason = explain_import_error(error.traceback, "hooks.py") or str(error)
        raise BuildError(
            f'the build back end "{system.backend}" cannot be imported: {reason}',
            hint="correct build-backend in [build-system], or add the package that contains it to requires there",
        ) from error
    except (pyproject_hooks.HookMissing, pyproject_hooks.UnsupportedOperation) as error:
        raise BuildError(f"{system.backend} cannot build a wheel: {error}") from error
    except ValueError as error:  # backend-path leads out of the project
        raise ConfigError(f"build-system.backend-path: {error}") from error
