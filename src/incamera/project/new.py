"""`incamera new`: make a project from the template."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.changes import FileChange, apply_changes
from incamera.project.settings import AppName, parse_app_name

# The template's file → the project's.
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "app.py": "app.py",
    "test_app.py": "test_app.py",
    "gitignore": ".gitignore",
}

# What the template depends on, and what its tests need.
_NEEDED = ("numpy", "pytest")


def create_project(folder: Path) -> list[Path]:
    """Make *folder* with the files of a new project named after it, and return their paths.

    Raises ConfigError when the folder exists and is not empty, or its name cannot be a project's.
    """
    name = parse_app_name(folder.name)
    if name in _NEEDED:
        raise ConfigError(
            f'a new project needs the package "{name}", so it cannot be called that itself',
            hint=f"choose another name, for example {name}-app",
        )
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(
                f"{folder} exists and is not empty",
                hint=f"`incamera init {folder.name}` makes a project of what is in it; or choose another name",
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make the project {folder}: {error.strerror}", hint="name a folder that you can write"
        ) from error
    changes = plan_template(folder, name)
    apply_changes(changes)
    return [change.path for change in changes]


def plan_template(folder: Path, name: AppName) -> list[FileChange]:
    """Return the files of a new project called *name* that *folder* does not have."""
    template = resources.files("incamera.project").joinpath("template")
    return [
        FileChange(folder / target, None, template.joinpath(source).read_text("utf-8").replace("@NAME@", name).encode())
        for source, target in _FILES.items()
        if not (folder / target).exists()
    ]
