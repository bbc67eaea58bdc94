"""run --local: the app on this computer, with a video or the virtual camera's scene instead of a camera."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.eap.declared import NAME_VARIABLE, load_declared
from incamera.errors import ConfigError, ToolFailed, UsageError
from incamera.proc import become, run
from incamera.project.entry_check import checked_entry
from incamera.project.included import included_name
from incamera.virtual.stand_ins import host_stand_ins

if TYPE_CHECKING:
    from incamera.project.settings import Project

# What acap reads: where its frames come from, its parameters, where its events go, and its messages.
_VIDEO, _PARAMETERS, _EVENTS, _MESSAGES = "ACAP_VIDEO", "ACAP_PARAMETERS", "ACAP_EVENTS", "ACAP_MESSAGES"
_PARAMETERS_HEADER = "# The app's parameters on this computer. When you save a change, the app that runs is told.\n"


def run_locally(project: Project, arguments: Sequence[str], video: str | None) -> None:
    """Become the project's app, with the project's own Python. Its frames come from *video*, or are the known scene.

    Raises ConfigError, UsageError, ToolFailed.
    """
    python = _python_of(project.folder)
    words = [python, *checked_entry(project).to_arguments(), *arguments]
    environment = _environment(project, video)
    _require_included(project, python, environment)
    become(words, purpose="run the app here", env=environment, folder=project.folder)


def _python_of(folder: Path) -> str:
    """Return the Python of the project's environment, or of the one that is active."""
    places = [folder / ".venv"]
    if active := os.environ.get("VIRTUAL_ENV"):
        places.append(Path(active))
    for place in places:
        if (python := place / "bin/python").exists():
            return str(python)
    if found := shutil.which("python3"):
        return found
    raise ConfigError("there is no Python to run the app with", hint=f"make one: `python3 -m venv {folder}/.venv`")


def _require_included(project: Project, python: str, environment: Mapping[str, str]) -> None:
    """Raises ConfigError when *python* lacks a package that comes with incamera and that the project requires."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
    for name, folder in project.local.items():
        if included_name(folder) is None:
            continue
        try:
            run([python, "-c", code, name], purpose=f"look for {name}", env=environment, cwd=project.folder)
        except ToolFailed as error:
            raise ConfigError(
                f"the app needs {name}, which {python} does not have",
                hint=f"install it for that Python: `{python} -m pip install '{folder}[desk]'`",
            ) from error


def _environment(project: Project, video: str | None) -> Mapping[str, str]:
    environment = dict(os.environ)
    declared = load_declared(project)
    environment.setdefault(NAME_VARIABLE, declared.name)
    environment.setdefault(_EVENTS, "stderr")
    environment.setdefault(_MESSAGES, "stderr")
    if _PARAMETERS not in environment:
        defaults = {name: default for name, (default, _) in declared.parameters.items()}
        environment[_PARAMETERS] = str(_write_parameters(project.folder / ".incamera/parameters.toml", defaults))
    # The stand-in of larod starts LiteRT with it.
    environment.setdefault("INCAMERA_LITERT", sys.executable)
    if (project.folder / "src").is_dir():
        _prepend(environment, "PYTHONPATH", project.folder / "src")
    if video is not None:
        # A path is relative to where the command was typed, and the app starts in the project's folder.
        if "://" not in video and not Path(video).exists():
            raise UsageError(f"--video: there is no {video}", hint="name a video, a picture, a folder or a webcam")
        environment[_VIDEO] = video if "://" in video else str(Path(video).absolute())
    if not environment.get(_VIDEO):
        _prepend(environment, "LD_LIBRARY_PATH", _scene())
    elif folder := host_stand_ins(platform.machine()):
        # Frames come from elsewhere, and the stand-in of larod runs the app's networks.
        _prepend(environment, "LD_LIBRARY_PATH", folder)
    return environment


def _write_parameters(path: Path, defaults: Mapping[str, str]) -> Path:
    """Add those of *defaults* that the file *path* does not have. What it has stays. Returns *path*."""
    try:
        text = path.read_text("utf-8") if path.exists() else _PARAMETERS_HEADER
        known = tomllib.loads(text)
        lines = [
            f"{json.dumps(name, ensure_ascii=False)} = {json.dumps(value, ensure_ascii=False)}\n"
            for name, value in defaults.items()
            if name not in known
        ]
        if lines:
            path.parent.mkdir(exist_ok=True)
            if not (ignored := path.with_name(".gitignore")).exists():
                ignored.write_text("*\n", "utf-8")
            path.write_text("".join([text, "" if text.endswith("\n") else "\n", *lines]), "utf-8")
    except (OSError, ValueError) as error:
        hint = "correct it, or remove it: it is written anew with the defaults"
        raise ConfigError(f"cannot use the app's parameters in {path}: {error}", hint=hint) from error
    return path


def _prepend(environment: dict[str, str], name: str, folder: Path) -> None:
    environment[name] = os.pathsep.join(filter(None, (str(folder), environment.get(name, ""))))


def _scene() -> Path:
    """Return the folder of the library that makes the known scene."""
    folder = host_stand_ins(platform.machine())
    if folder is None:
        raise ConfigError(
            f"the known scene needs a computer with an x86-64 processor, and this one has {platform.machine()}",
            hint="name a video, a picture or a webcam: `incamera run --local --video FILE`",
        )
    try:
        ctypes.CDLL("libgobject-2.0.so.0")
    except OSError as error:
        raise ConfigError(
            f"the known scene needs GLib on this computer: {error}",
            hint="install it (in Debian: libglib2.0-0), or type `incamera run --local --video FILE`",
        ) from error
    return folder
