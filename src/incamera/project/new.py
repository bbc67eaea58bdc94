"""A new project out of the template."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.settings import parse_app_name

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "app.py": "app.py",
    "test_app.py": "test_app.py",
    "gitignore": ".gitignore",
}


def create_project(folder: Path) -> list[Path]:
    """Make the folder and its files; the project is called like the folder. Raises ConfigError if it is not empty."""
    name = parse_app_name(folder.name)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} exists and is not empty", hint="choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        template = resources.files("incamera.project").joinpath("template")
        paths = []
        for source, destination in _FILES.items():
            path = folder / destination
            path.write_text(template.joinpath(source).read_text("utf-8").replace("@NAME@", name), "utf-8")
            paths.append(path)
    except OSError as error:
        raise ConfigError(f"cannot make {folder}: {error.strerror}") from error
    return paths
