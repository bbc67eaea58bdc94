"""run --local: which Python, folder and environment the app gets on this computer."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.virtual.stand_ins import host_stand_ins

pytestmark = pytest.mark.starts_processes
APP = """
import json, os, sys
names = ("ACAP_VIDEO", "LD_LIBRARY_PATH", "PYTHONPATH")
print(json.dumps([sys.argv[1:], sys.prefix, os.getcwd(), {name: os.environ.get(name, "") for name in names}]))
sys.exit(7)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    settings = '[project]\nname = "app"\nversion = "1"\n[tool.incamera]\nentry = "app.py"\n'
    (folder / "pyproject.toml").write_text(settings, "utf-8")
    (folder / "app.py").write_text(APP, "utf-8")
    return folder


def run(project: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("ACAP_VIDEO", "VIRTUAL_ENV")}
    return subprocess.run(
        [sys.executable, "-m", "incamera", "run", "--local", *words],
        cwd=project,
        env=environment | {"INCAMERA_STORE": str(project.parent / "store")} | more,
        capture_output=True,
        text=True,
        check=False,
    )


def test_app_runs_here_with_its_arguments_and_exit_code(project: Path) -> None:
    (project / "film.mp4").touch()
    done = run(project, "--video", "film.mp4", "--", "--threshold", "3")
    assert done.returncode == 7, done.stderr
    arguments, _, folder, environment = json.loads(done.stdout)
    assert arguments == ["--threshold", "3"]
    assert Path(folder) == project
    assert environment["ACAP_VIDEO"] == str(project / "film.mp4")
    # The libraries that run networks are there, whatever frames come from.
    if stand_ins := host_stand_ins(platform.machine()):
        assert environment["LD_LIBRARY_PATH"].split(os.pathsep)[0] == str(stand_ins)


def test_projects_own_environment_comes_first(project: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project / ".venv")], check=True)
    _, prefix, *_ = json.loads(run(project, "--video", "rtsp://camera/1").stdout)
    assert Path(prefix) == project / ".venv"


def test_missing_bindings_get_the_command_that_installs_them(project: Path) -> None:
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace("[tool", 'dependencies = ["acap"]\n[tool'))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project / ".venv")], check=True)
    done = run(project, "--video", "rtsp://camera/1")
    assert done.returncode == 3, done.stderr
    assert f"the app needs acap, which {project}/.venv/bin/python does not have" in done.stderr
    assert f"`{project}/.venv/bin/python -m pip install '" in done.stderr
    (project / "acap.py").touch()
    assert run(project, "--video", "rtsp://camera/1").returncode == 7


def test_url_stays_as_it_is_and_sources_can_be_imported(project: Path) -> None:
    (project / "src").mkdir()
    *_, environment = json.loads(run(project, "--video", "rtsp://camera/1").stdout)
    assert environment["ACAP_VIDEO"] == "rtsp://camera/1"
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(project / "src")


def test_without_a_video_the_known_scene_is_shown(project: Path) -> None:
    folder = host_stand_ins(platform.machine())
    done = run(project)
    if folder is None:
        assert "the known scene needs" in done.stderr
        return
    *_, environment = json.loads(done.stdout)
    assert environment["LD_LIBRARY_PATH"].split(os.pathsep)[0] == str(folder)


@pytest.mark.parametrize("option", ["--watch", "--profile-startup"])
def test_what_needs_a_camera_is_refused(project: Path, option: str) -> None:
    done = run(project, option)
    assert done.returncode == 2
    assert f"--local and {option} cannot be used together" in done.stderr


def test_video_that_is_not_there_is_refused(project: Path) -> None:
    done = run(project, "--video", "film.mp4")
    assert done.returncode == 2
    assert "--video: there is no film.mp4" in done.stderr


def test_video_without_local_is_refused(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "incamera", "run", "--video", "film.mp4"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--video works only with --local" in done.stderr
