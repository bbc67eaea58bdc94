"""Find the project of a folder, and load its settings from its pyproject.toml."""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError, UsageError
from incamera.names import did_you_mean, listing
from incamera.project.settings_parsing import parse_project
from incamera.toml import parse_toml

if TYPE_CHECKING:
    from incamera.project.settings import Project


def find_project_folder(start: Path) -> Path | None:
    """Return *start* or the nearest folder above it that has a pyproject.toml; None when there is none."""
    return next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), None)


def load_project(start: Path) -> Project:
    """Return the project of the folder *start*, or of the nearest folder above it.

    Raises ConfigError; UsageError when *start* is no folder.
    """
    _require_folder(start)
    folder = find_project_folder(start.absolute())
    if folder is None:
        scripts = sorted(path.name for path in start.glob("*.py"))
        raise ConfigError(
            f"there is no pyproject.toml in {start.absolute()} or above it",
            hint="go to the project's folder, or type `incamera init` in a folder with an app, or `incamera new NAME`"
            + (f"; one script runs without a project: `incamera run {scripts[0]}`" if scripts else ""),
        )
    return parse_project(load_document(folder), folder)


def load_document(folder: Path) -> dict[str, Any]:
    """Return the tables of the pyproject.toml in *folder*. Raises ConfigError."""
    path = folder / "pyproject.toml"
    try:
        return parse_toml(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not UTF-8", hint="save it as UTF-8 text, as TOML has to be") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", hint="https://toml.io shows how it is written") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error


def _require_folder(start: Path) -> None:
    """Raises UsageError, with the projects that are near, when there is no folder *start*."""
    if start.is_dir():
        return
    if start.exists():
        raise UsageError(f"{start} is not a folder", hint=f"--project names the project's folder: {start.parent}")
    near = start.absolute().parent
    while not near.is_dir():
        near = near.parent
    try:
        folders = sorted(
            path.name for path in near.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))
        )
    except OSError:
        folders = []
    projects = [name for name in folders if (near / name / "pyproject.toml").is_file()]
    raise UsageError(
        f"there is no folder {os.path.normpath(start.absolute())}",
        hint=did_you_mean(start.name, folders)
        or listing(f"{'projects' if projects else 'folders'} in {near}", projects or folders),
    )


def find_project(start: Path) -> Project | None:
    """Return the project of the folder *start*; None when there is none, or none that incamera can use.

    Raises ConfigError for a faulty pyproject.toml with a [tool.incamera] table: it may name the device to use. Raises
    UsageError when *start* is not a folder.
    """
    _require_folder(start)
    try:
        return load_project(start)
    except ConfigError:
        folder = find_project_folder(start.absolute())
        if folder is None:
            return None
        with suppress(OSError):
            if b"tool.incamera" not in (folder / "pyproject.toml").read_bytes():
                return None
        raise
