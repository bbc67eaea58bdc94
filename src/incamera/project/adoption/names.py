"""The name that a folder's package has, or that a project in it would get."""

from __future__ import annotations

import re
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.adoption.setup_py import load_setup
from incamera.toml import parse_toml

_BAD = re.compile(r"[^A-Za-z0-9]+")


def find_name(folder: Path) -> str | None:
    """Return the name of the package in *folder*, as its own files give it; None where they don't."""
    try:
        table = parse_toml((folder / "pyproject.toml").read_text("utf-8"))
        for found in (table.get("project"), table.get("tool", {}).get("poetry")):
            if isinstance(found, dict) and isinstance(found.get("name"), str):
                return str(found["name"])
    except (OSError, ValueError, AttributeError):
        pass
    try:
        return load_setup(folder).name
    except ConfigError:
        return None


def name_of_folder(folder: Path) -> str:
    """Return a name for a project in *folder*: the folder's, with what no name may have replaced."""
    return _BAD.sub("-", folder.name).strip("-").lower() or "app"
