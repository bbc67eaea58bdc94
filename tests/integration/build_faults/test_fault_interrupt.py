"""Ctrl-C and kill -9 in the middle, a back end that fails, two builds at once."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from incamera.store import Store

from ...waiting import wait_until
from ..command import command_environment, processes_that_mention, running
from ..paths import STORE
from ..project import write_project
from .place import HOST_DEB, INDEX, TARGET_DEB, Place, Run, check_recovery, forget

MOMENTS = {
    "release": "/dists/bookworm/InRelease",
    "index": INDEX,
    "interpreter": HOST_DEB,
    "runtime": TARGET_DEB,
    "bundle": "",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_build(
    filled: Place, sound_store: tuple[Path, str], moment: str, number: signal.Signals
) -> None:
    if MOMENTS[moment]:
        forget(filled, MOMENTS[moment])
        filled.mirror.misbehave(MOMENTS[moment], filled.mirror.hang)
    with running("build", cwd=filled.project, env=command_environment(filled.env)) as build:
        if MOMENTS[moment]:
            assert filled.mirror.reached.wait(60), build.text
        else:
            wait_until(lambda: list(filled.store.glob("trees/runtimes/*.json")), "the runtime is complete")
        if number == signal.SIGINT:
            build.press_ctrl_c()
            assert build.finish(seconds=25) == 130
            assert "interrupted" in build.text
            assert "Traceback" not in build.text
            assert filled.half_made() == []
        else:
            build.process.kill()
            assert build.finish() == -signal.SIGKILL
    wait_until(lambda: not processes_that_mention(str(filled.store)), "nothing of it runs on")
    check_recovery(filled, sound_store[1])
    assert filled.run("store", "clean", env=filled.env).code == 0
    assert filled.half_made() == []


BACKEND = """
import base64, hashlib, os, time, zipfile
FILES = {{
    "wheely.py": "print('hello')",
    "wheely-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: wheely\\nVersion: 1\\n",
    "wheely-1.dist-info/WHEEL":
        "Wheel-Version: 1.0\\nGenerator: us\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}}
def build_wheel(folder, settings=None, metadata=None):
    open("{reached}", "w").close()
    while os.path.exists("{hang}"):
        time.sleep(0.02)
    record = "wheely-1.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(folder, "wheely-1-py3-none-any.whl"), "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{{name}},sha256={{digest}},{{len(text)}}\\n"
        wheel.writestr(zipfile.ZipInfo("wheely-1.dist-info/RECORD"), record)
    return "wheely-1-py3-none-any.whl"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_an_interrupted_wheel_build(tmp_path: Path, incamera: Run, number: signal.Signals) -> None:
    """In the store that all tests share, since a toolchain is needed."""
    project = write_project(tmp_path / "wheely", name="wheely", settings='entry = "wheely"')
    text = (project / "pyproject.toml").read_text()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (project / "pyproject.toml").write_text(system + text)
    hang, reached = tmp_path / "hang", tmp_path / "reached"
    hang.touch()
    (project / "backend.py").write_text(BACKEND.format(hang=hang, reached=reached))
    wheels = set(STORE.glob("trees/wheels/*"))
    with running("build", cwd=project, env=command_environment()) as build:
        wait_until(lambda: reached.exists() or build.process.poll() is not None, "the back end is called", seconds=300)
        assert reached.exists(), build.text
        if number == signal.SIGINT:
            build.press_ctrl_c()
            assert build.finish(seconds=25) == 130
        else:
            build.process.kill()
            build.finish()
            hang.unlink()  # a back end may outlive us then: what it makes is nobody's
        wait_until(lambda: not processes_that_mention(f"{STORE}/tmp/{build.process.pid}-"), "the back end has ended")
    assert set(STORE.glob("trees/wheels/*")) == wheels
    hang.unlink(missing_ok=True)
    first = incamera("build", "--json", cwd=project)
    assert first.code == 0, first.err
    again = incamera("build", "--json", cwd=project)
    assert json.loads(again.out)["bundle"] == json.loads(first.out)["bundle"]
    assert [step["cached"] for step in json.loads(again.out)["steps"]] == [True, True]


def test_a_back_end_that_fails_is_quoted(tmp_path: Path, incamera: Run) -> None:
    project = write_project(tmp_path / "broken", settings='entry = "broken"')
    text = (project / "pyproject.toml").read_text()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (project / "pyproject.toml").write_text(system + text)
    (project / "backend.py").write_text("def build_wheel(*args):\n    raise ValueError('no flux capacitor')\n")
    done = incamera("build", cwd=project)
    assert done.code == 5
    assert "  | " in done.err
    assert "no flux capacitor" in done.err
    assert "this is a bug" not in done.err


def test_two_builds_at_once(place: Place, sound_store: tuple[Path, str]) -> None:
    env = command_environment(place.env)
    with (
        running("build", "--json", cwd=place.project, env=env) as one,
        running("build", "--json", cwd=place.project, env=env) as two,
    ):
        assert one.finish(seconds=240) == 0, one.text
        assert two.finish(seconds=240) == 0, two.text
    for build in (one, two):
        assert json.loads(build.out)["bundle"] == sound_store[1]
    assert Store(place.store).verify()[1] == []
    assert place.half_made() == []
