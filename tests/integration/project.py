"""Small projects to build, deploy and run."""

from __future__ import annotations

import os
from pathlib import Path


def write_project(
    folder: Path,
    *,
    app: str = 'print("hello")\n',
    dependencies: str = "[]",
    settings: str = "",
    name: str = "plain",
) -> Path:
    """Write a project into *folder* and return it.

    *dependencies* is the TOML list of [project]; *settings* is the TOML text of [tool.incamera].
    """
    folder.mkdir(parents=True, exist_ok=True)
    project = f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {dependencies}\n'
    (folder / "pyproject.toml").write_text(f"{project}\n[tool.incamera]\n{settings}\n")
    (folder / "app.py").write_text(app)
    return folder


def add_data(project: Path, *, files: int = 8) -> None:
    """Add *files* of half a megabyte each, whose upload takes long enough to be interrupted."""
    for number in range(files):
        (project / f"{number}.bin").write_bytes(os.urandom(500_000))
