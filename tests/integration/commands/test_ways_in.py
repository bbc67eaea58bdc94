"""From an empty folder to output from the camera, in the few commands that a newcomer types."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

PROJECTS = Path(__file__).parents[1] / "projects"


def test_prototype_made_for_a_container_runs_unchanged(incamera: Run, camera: VirtualCamera, tmp_path: Path) -> None:
    """Its setup.py searches the folders in /include, where its container has numpy's headers."""
    # git clone …, cd prototype/app
    shutil.copytree(PROJECTS / "prototype", tmp_path / "prototype")
    (tmp_path / "prototype/.git").mkdir()
    app = tmp_path / "prototype/app"
    before = {path: path.read_bytes() for path in app.rglob("*") if path.is_file()}
    assert incamera("init", "--yes", cwd=app).code == 0
    done = incamera("run", "--device", camera.name, cwd=app)
    assert done.code == 0, done.err
    assert done.out == "dark: 990, bright: 10, mean 8.93\n"
    assert "of this computer" not in done.err  # no header or option was left out
    assert {path: path.read_bytes() for path in before} == before
