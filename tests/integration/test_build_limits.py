"""Builds that take too much, through a real toolchain, and the log of one that fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import ToolFailed
from incamera.targets.target import Target
from incamera.toolchain.limits import Limits
from incamera.toolchain.pep517 import build_wheel

from .builds import wheel_build
from .command import Run, assert_error

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.toolchain.build_folder import Toolchain

WIDE = Limits(memory=2_000_000_000, disk=2_000_000_000, tasks=400)


def write_own_back_end(folder: Path, code: str) -> Path:
    """Write a project whose back end is a file of its own, which runs *code* to build a wheel."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
        '[project]\nname = "hostile"\nversion = "1"\n'
    )
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    (folder / "own.py").write_text(f"def build_wheel(folder, settings=None, metadata=None):\n{lines}")
    (folder / "app.py").touch()
    return folder


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        pytest.param(
            # Bounded, so that it does no harm where the limit does not hold.
            {"tasks": 60},
            "import os, time\nfor _ in range(8): os.fork()\ntime.sleep(600)",
            "it started more processes and threads than 60",
            id="fork-bomb",
        ),
        pytest.param(
            {"disk": 50_000_000},
            "out = open('/tmp/big', 'wb')\nwhile True: out.write(bytes(1_000_000))",
            r"it wrote more than 50\.0 MB",
            id="endless-file",
        ),
        pytest.param(
            {"memory": 150_000_000},
            "kept = []\nwhile True: kept.append(bytearray(b'x' * 5_000_000))",
            r"it used more than 150\.0 MB of memory",
            id="memory",
            marks=pytest.mark.matrix,
        ),
        pytest.param(
            {"idle_seconds": 1.5},
            "import time\ntime.sleep(10**6)",
            "it did nothing for",
            id="sleep",
            marks=pytest.mark.matrix,
        ),
        pytest.param(
            {"output": 40_000_000},
            "while True: print('y' * 1000)",
            r"it printed more than 40\.0 MB",
            id="output",
            marks=pytest.mark.matrix,
        ),
    ],
)
def test_hostile_build_is_stopped(
    store: Store,
    toolchain_for: Callable[[Target, str], Toolchain],
    tmp_path: Path,
    limits: dict[str, int],
    code: str,
    says: str,
) -> None:
    build = wheel_build(
        project=write_own_back_end(tmp_path / "hostile", code),
        store=store,
        limits=replace(WIDE, **limits),
        log=tmp_path / "log",
    )
    with pytest.raises(ToolFailed, match=says):
        build_wheel(build, toolchain_for(Target.parse("armv7hf"), "gcc"), tmp_path / "out")
    assert (tmp_path / "log").stat().st_size < 20_000_000
    assert not list((tmp_path / "out").glob("*"))


def test_failed_build_of_the_project_keeps_its_log_and_names_it(incamera: Run, tmp_path: Path) -> None:
    code = "for number in range(100): print(f'line {number}')\nraise SystemExit('there is no lens')"
    done = incamera("build", "--target", "armv7hf", cwd=write_own_back_end(tmp_path / "own", code))
    assert_error(done, 5, "there is no lens", "has the whole output")
    [log] = re.findall(r"(\S+\.log) has the whole output", done.err)
    lines = Path(log).read_text().splitlines()
    assert "line 0" in lines
    assert "line 99" in lines
    assert not Path(log).stat().st_mode & 0o077 or not Path(log).parent.stat().st_mode & 0o077


def test_limit_of_the_settings_is_obeyed(incamera: Run, tmp_path: Path) -> None:
    code = "out = open('big', 'wb')\nwhile True: out.write(bytes(1_000_000))"
    project = write_own_back_end(tmp_path / "own", code)
    with (project / "pyproject.toml").open("a") as stream:
        stream.write('[tool.incamera.build-limits]\ndisk = "30 MB"\n')
    done = incamera("build", "--target", "armv7hf", cwd=project)
    # The back end's own last lines, a traceback, are shown too.
    assert done.code == 5
    assert "it wrote more than 30.0 MB" in done.err
    assert 'build-limits] disk = "60.0 MB"' in done.err
