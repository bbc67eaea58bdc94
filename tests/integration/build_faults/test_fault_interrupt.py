"""Builds that Ctrl-C or kill -9 ends, a back end that fails, and two builds at the same time."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from incamera.store import Store

from ...waiting import wait_until
from ..command import Run, Running, command_environment, processes_that_mention, running
from ..paths import STORE
from ..project import write_project
from .place import HOST_DEB, INDEX, TARGET_DEB, Place, check_recovery, forget

MOMENTS = {
    "release": "/dists/bookworm/InRelease",
    "index": INDEX,
    "interpreter": HOST_DEB,
    "runtime": TARGET_DEB,
    "bundle": "",
}
SIGNALS = {"ctrl-c": signal.SIGINT, "kill-9": signal.SIGKILL}
BY_DEFAULT = [("index", "kill-9"), ("runtime", "ctrl-c"), ("bundle", "kill-9")]


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(
            moment, number, id=f"{moment}-{name}", marks=() if (moment, name) in BY_DEFAULT else pytest.mark.matrix
        )
        for moment in MOMENTS
        for name, number in SIGNALS.items()
    ],
)
def test_build_succeeds_after_an_interrupted_one(
    filled: Place, sound_store: tuple[Path, str], moment: str, number: signal.Signals
) -> None:
    if MOMENTS[moment]:
        forget(filled, MOMENTS[moment])
        filled.mirror.misbehave(MOMENTS[moment], filled.mirror.hang)
        build = interrupt(filled, number, lambda: filled.mirror.reached.is_set())
    else:
        runtimes = filled.store / "trees/runtimes"
        # Between the runtime and the bundle there are milliseconds, so a build may have ended too soon.
        while (build := interrupt(filled, number, lambda: list(runtimes.glob("*.json")))).process.returncode == 0:
            shutil.rmtree(runtimes)
            shutil.rmtree(filled.store / "trees/bundles")
    if number == signal.SIGINT:
        assert build.process.returncode == 130
        assert "interrupted" in build.text
        assert "Traceback" not in build.text
        assert filled.partial_files() == []
    else:
        assert build.process.returncode == -signal.SIGKILL
    wait_until(lambda: not processes_that_mention(str(filled.store)), "its processes have ended")
    check_recovery(filled, sound_store[1])
    assert filled.run("store", "clean", env=filled.env).code == 0
    assert filled.partial_files() == []


def interrupt(place: Place, number: signal.Signals, moment: Callable[[], object]) -> Running:
    """Start a build, send it *number* at the *moment*, and return it when it has ended."""
    with running("build", cwd=place.project, env=command_environment(place.env)) as build:
        wait_until(lambda: moment() or build.process.poll() is not None, "the build is so far")
        with suppress(ProcessLookupError):
            if number == signal.SIGINT:
                build.press_ctrl_c()
            else:
                build.process.kill()
        build.finish()
    return build


BACKEND = """
import base64, hashlib, os, time, zipfile
FILES = {{
    "{name}.py": "print('hello')",
    "{name}-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1\\n",
    "{name}-1.dist-info/WHEEL":
        "Wheel-Version: 1.0\\nGenerator: us\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}}
def build_wheel(folder, settings=None, metadata=None):
    open("reached", "w").close()
    while os.path.exists("hang"):
        time.sleep(0.02)
    record = "{name}-1.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(folder, "{name}-1-py3-none-any.whl"), "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{{name}},sha256={{digest}},{{len(text)}}\\n"
        wheel.writestr(zipfile.ZipInfo("{name}-1.dist-info/RECORD"), record)
    return "{name}-1-py3-none-any.whl"
"""


@pytest.mark.parametrize("number", SIGNALS.values(), ids=SIGNALS)
def test_interrupted_wheel_build_leaves_no_wheel(tmp_path: Path, incamera: Run, number: signal.Signals) -> None:
    # In the store that all tests share: it has a toolchain.
    name = f"wheely{os.getpid()}{number:d}"  # by which its wheel is found
    project = write_project(tmp_path / "wheely", name=name, settings=f'entry = "{name}"')
    text = (project / "pyproject.toml").read_text()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (project / "pyproject.toml").write_text(system + text)
    # The back end sees only its own copy of the project.
    hang = project / "hang"
    hang.touch()
    (project / "backend.py").write_text(BACKEND.format(name=name))
    with running("build", cwd=project, env=command_environment()) as build:

        def reached() -> list[Path]:
            return list(STORE.glob(f"tmp/{build.process.pid}-*/build/project/reached"))

        wait_until(lambda: reached() or build.process.poll() is not None, "the back end is called", seconds=300)
        assert reached(), build.text
        if number == signal.SIGINT:
            build.press_ctrl_c()
            assert build.finish() == 130
        else:
            build.process.kill()
            build.finish()
        wait_until(lambda: not processes_that_mention(f"{STORE}/tmp/{build.process.pid}-"), "the back end has ended")
    assert not list(STORE.glob(f"trees/wheels/*/{name}-*"))
    hang.unlink()
    first = incamera("build", "--json", cwd=project)
    assert first.code == 0, first.err
    again = incamera("build", "--json", cwd=project)
    assert json.loads(again.out)["bundle"] == json.loads(first.out)["bundle"]
    assert [step["cached"] for step in json.loads(again.out)["steps"]] == [True, True]


def test_error_quotes_the_back_end_that_failed(tmp_path: Path, incamera: Run) -> None:
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


def test_two_builds_at_the_same_time_give_the_same_bundle(place: Place, sound_store: tuple[Path, str]) -> None:
    env = command_environment(place.env)
    with (
        running("build", "--json", cwd=place.project, env=env) as one,
        running("build", "--json", cwd=place.project, env=env) as two,
    ):
        assert one.finish() == 0, one.text
        assert two.finish() == 0, two.text
    for build in (one, two):
        assert json.loads(build.out)["bundle"] == sound_store[1]
    assert Store(place.store).verify()[1] == []
    assert place.partial_files() == []
