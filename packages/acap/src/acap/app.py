"""The app's name, as the camera knows it."""

from __future__ import annotations

import os
import sys
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_LINE = 'APPNAME="'


@cache
def app_name() -> str:
    """Return the app's name.

    It is that of ACAP_APP_NAME or INCAMERA_APP_NAME, else the one in the package.conf above the program, else the name
    of the folder for the app's data, else that of the project.
    """
    for variable in ("ACAP_APP_NAME", "INCAMERA_APP_NAME"):
        if name := os.environ.get(variable):
            return name
    start = _program()
    for folder in (start, *start.parents):
        if name := _packaged(folder / "package.conf"):
            return name
    from pathlib import Path

    data = Path(os.environ.get("INCAMERA_DATA", ""))
    if data.parent.name == ".data":
        return data.name.replace("-", "_")
    project = next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), start)
    return _named(project / "pyproject.toml") or project.name or "app"


def _program() -> Path:
    """Return the folder of the program that runs."""
    from pathlib import Path

    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(main).resolve().parent if main else Path.cwd()


def _packaged(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line[len(_LINE) :].rstrip('"') for line in lines if line.startswith(_LINE)), "")


def _named(path: Path) -> str:
    import tomllib

    try:
        with path.open("rb") as stream:
            project = tomllib.load(stream).get("project", {})
    except (OSError, ValueError):
        return ""
    name = project.get("name", "") if isinstance(project, dict) else ""
    return str(name).replace("-", "_")
