"""`incamera new`: make a project from the template."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.settings import parse_app_name

# The template's file → the project's.
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "app.py": "app.py",
    "test_app.py": "test_app.py",
    "gitignore": ".gitignore",
}


def create_project(folder: Path) -> list[Path]:
    """Make *folder* with the files of a new project named after it, and return their paths.

    Raises ConfigError when the folder exists and is not empty, or its name cannot be a project's.
    """
    name = parse_app_name(folder.name)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} exists and is not empty", hint="choose another name, or empty the folder")
        folder.mkdir(parents=True, exist_ok=True)
        template = resources.files("incamera.project").joinpath("template")
        paths = []
        for source, destination in _FILES.items():
            path = folder / destination
            path.write_text(template.joinpath(source).read_text("utf-8").replace("@NAME@", name), "utf-8")
            paths.append(path)
    except OSError as error:
        raise ConfigError(
            f"cannot make the project {folder}: {error.strerror}", hint="name a folder that you can write"
        ) from error
    return paths
