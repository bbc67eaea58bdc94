"""Where an app keeps its data: in the camera, and on the developer's computer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .agent_process import plain_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.starts_processes

APP = "from incamera_agent import data_folder; print(data_folder())"


def told(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(APP)
    command = [sys.executable, str(script)]
    return subprocess.run(
        command, env={**plain_environment(), **environment}, capture_output=True, text=True, check=False, cwd="/"
    )


def test_folder_on_the_desk_is_in_the_project_and_ignored_by_git(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    folder = tmp_path / ".incamera" / "data"
    assert told(tmp_path / "src" / "doorbell" / "app.py").stdout == f"{folder}\n"
    assert list(folder.iterdir()) == []
    assert (tmp_path / ".incamera" / ".gitignore").read_text() == "*\n"


def test_folder_of_a_lone_script_is_beside_it(tmp_path: Path) -> None:
    assert told(tmp_path / "app.py").stdout == f"{tmp_path}/.incamera/data\n"


def test_variable_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    for _ in range(2):
        assert told(tmp_path / "app.py", INCAMERA_DATA=str(folder)).stdout == f"{folder}\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "INCAMERA_DATA must be an absolute path" in told(tmp_path / "app.py", INCAMERA_DATA="kept").stderr
