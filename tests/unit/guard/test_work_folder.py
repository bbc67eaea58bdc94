"""The folder in which an app works: its path stays, and it shows the files of one bundle after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from incamera.runtime.launcher.protocol import WORK_VARIABLE, ExitCode

pytestmark = pytest.mark.starts_processes

TELL = "import json, os; print(json.dumps([os.getcwd(), os.environ['PWD'], sorted(os.environ), os.listdir()]))"


def write_bundle(folder: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "incamera/.work/bell"


def show(guard: Path, source: Path, work: Path) -> None:
    subprocess.run([guard, "show", source, work], check=True)


def test_app_works_in_its_working_folder(guard: Path, tmp_path: Path, work: Path) -> None:
    bundle = write_bundle(tmp_path / "one", {"app.py": "1"})
    (tmp_path / "run-1").mkdir()
    told: Any = json.loads(
        subprocess.run(
            [guard, "run", tmp_path / "run-1", "--", sys.executable, "-c", TELL],
            env={**os.environ, WORK_VARIABLE: str(work)},
            cwd=bundle,
            check=True,
            capture_output=True,
        ).stdout
    )
    assert told[:2] == [f"{work}/app", f"{work}/app"]
    assert WORK_VARIABLE not in told[2]
    assert told[3] == ["app.py"]


def test_app_that_has_no_working_folder_is_started_in_the_bundle(guard: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "one", {"app.py": "1"})
    (tmp_path / "run-1").mkdir()
    (tmp_path / "file").touch()
    done = subprocess.run(
        [guard, "run", tmp_path / "run-1", "--", "pwd"],
        env={**os.environ, WORK_VARIABLE: f"{tmp_path}/file/incamera/.work/bell"},
        cwd=bundle,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{bundle}\n"
    assert f"Not a directory; the app is started in {bundle}" in done.stderr


def test_folder_shows_the_files_of_the_newest_bundle_and_keeps_what_the_app_wrote(
    guard: Path, tmp_path: Path, work: Path
) -> None:
    first = {"app.py": "1", "old.py": "1", "data/labels.txt": "a", "gone/x.txt": "", "kind": "file", ".env": "A=1"}
    second = {"app.py": "2", "new/mod.py": "2", "data/labels.txt": "b", "kind/inner": "folder"}
    app = work / "app"
    show(guard, write_bundle(tmp_path / "one", first), work)
    assert {path: (app / path).read_text() for path in first} == first
    (app / "out.csv").write_text("mine")
    (app / "data/out.csv").write_text("mine")
    (app / "app.py").unlink()
    (app / "app.py").write_text("written in its place")
    show(guard, write_bundle(tmp_path / "two", second), work)
    found = {str(path.relative_to(app)): path.read_text() for path in app.rglob("*") if path.is_file()}
    assert found == {**second, "out.csv": "mine", "data/out.csv": "mine"}
    assert not (app / "gone").exists()


def test_folders_are_real_and_byte_code_is_that_of_the_files(guard: Path, tmp_path: Path, work: Path) -> None:
    """So that os.walk and rglob find all, and Python finds what was compiled when the app was built."""
    files = {"pkg/__init__.py": "", "pkg/__pycache__/x.pyc": "1"}
    (work / "app/pkg/__pycache__").mkdir(parents=True)
    (work / "app/pkg/__pycache__/x.pyc").write_text("of another file")
    show(guard, write_bundle(tmp_path / "one", files), work)
    assert not (work / "app/pkg").is_symlink()
    assert (work / "app/pkg/__pycache__").is_symlink()
    assert (work / "app/pkg/__pycache__/x.pyc").read_text() == "1"


def test_what_cannot_be_shown_is_an_error(guard: Path, tmp_path: Path, work: Path) -> None:
    done = subprocess.run([guard, "show", tmp_path / "none", work], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.failed
    assert f"cannot make {work}/app: No such file or directory" in done.stderr
