"""What an app keeps in the camera, and what the user copies, lists and removes there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from ..project import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

APP = """\
import os, pathlib
from incamera_agent import data_folder
folder = pathlib.Path(data_folder())
assert str(folder) == os.environ["INCAMERA_DATA"]
count = folder / "count"
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
print(NAME, number, folder, oct(folder.stat().st_mode & 0o777))
"""


def test_data_stays_across_edits_and_deploys(camera: VirtualCamera, tmp_path: Path, incamera: Run) -> None:
    project = write_project(tmp_path / "keeper", app="", name="keeper", settings='data = "flash:1M"')
    for number, (name, cold) in enumerate([("one", "1"), ("two", "0"), ("three", "0"), ("four", "1")], start=1):
        (project / "app.py").write_text(APP.replace("NAME", f'"{name}"'))
        done = incamera("run", "-C", project, "--device", camera.name, env={"INCAMERA_COLD": cold})
        assert done.out == f"{name} {number} /usr/local/packages/incamera/.data/keeper 0o700\n", done.err


@pytest.mark.matrix
def test_data_above_its_limit_is_told(
    camera: VirtualCamera, tmp_path: Path, incamera: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_project(tmp_path / "hoarder", app="", name="hoarder", settings='data = "flash:1M"')
    run = ("run", "-C", project, "--device", camera.name)
    (project / "app.py").write_text(
        "import incamera_agent as a, os\nopen(os.path.join(a.data_folder(), 'big'), 'wb').write(bytes(2**21))\n"
    )
    assert incamera(*run, env={"INCAMERA_COLD": "0"}).code == 0
    monkeypatch.chdir(project)
    word = f"{camera.name}:data/b"
    asked = incamera("completion", "--names", "camera-file", "--word", word, env={"INCAMERA_COLD": "0"})
    assert asked.out == f"{word}ig\n"
    done = incamera(*run, env={"INCAMERA_COLD": "0"})  # by the agent that waits, without a deploy
    assert done.code == 4
    assert "the app's data on" in done.err
    assert "2.1 MB; tool.incamera.data allows 1.0 MB" in done.err


def test_files_are_copied_listed_printed_removed_and_cleaned(
    camera: VirtualCamera, tmp_path: Path, incamera: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCAMERA_COLD", "0")
    project = write_project(tmp_path / "shelf", name="shelf")
    where = ("-C", project, "--device", camera.name)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a b.csv").write_text("1,2\n")
    (tmp_path / "in" / "deep" / "c.bin").write_bytes(bytes(range(256)) * 1000)

    def call(command: str, *words: object) -> str:
        done = incamera(command, *where, *words)
        assert done.code == 0, done.err
        return done.out

    assert incamera("ls", *where).code == 4  # no run has made the folder yet
    call("cp", tmp_path / "in", ":data/")
    listed = json.loads(call("ls", "-r", "--json"))["files"]
    assert {(entry["path"], entry["type"], entry["size"]) for entry in listed} == {
        ("data/in", "folder", 0),
        ("data/in/a b.csv", "file", 4),
        ("data/in/deep", "folder", 0),
        ("data/in/deep/c.bin", "file", 256_000),
    }
    assert call("cat", ":data/in/*.csv") == "1,2\n"
    call("cp", ":data/in/*.csv", f"{tmp_path}/made/")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a b.csv"]
    call("cp", ":data/in", tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "c.bin").read_bytes() == (tmp_path / "in" / "deep" / "c.bin").read_bytes()
    assert "--anywhere" in incamera("cat", *where, ":/etc/passwd").err
    assert "root" in call("cat", "--anywhere", ":/etc/passwd")
    assert incamera("rm", *where, ":data/in").code == 2
    call("rm", "-r", ":data/in")
    assert call("ls") == ""

    cleaned = ("device", "clean", camera.name, "--app", "shelf", "--json")
    done = incamera(*cleaned, "--yes")
    assert done.code == 0, done.err
    assert [(item["kind"], item["removed"]) for item in json.loads(done.out)["items"]] == [("data", False)]
    misspelled = incamera("device", "clean", camera.name, "--app", "shef")
    assert misspelled.code == 0, misspelled.err
    assert "nothing of shef to remove" in misspelled.err
    assert re.search(r"apps that have something there: .*\bshelf\b", misspelled.err)
    done = incamera(*cleaned, "--yes", "--data")
    assert [(item["kind"], item["removed"]) for item in json.loads(done.out)["items"]] == [("data", True)]
    assert json.loads(incamera(*cleaned, "--dry-run").out)["items"] == []
