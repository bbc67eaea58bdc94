"""Tracebacks and logs of what ran in a virtual camera."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..command import Run, Running, command_environment, running
from .app import HELPER

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


def test_a_traceback_names_the_file_that_is_edited(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    done = incamera("run", "-q", "-C", project, "--device", camera.name, "--", "fail")
    assert done.code == 1
    line = HELPER.splitlines().index('    raise ValueError("on purpose")') + 1
    assert f'  File "{project}/helper.py", line {line}, in fail\n' in done.err
    assert f'File "{project}/app.py", line' in done.err
    assert "/tmp/incamera" not in done.err

    kept = json.loads(incamera("logs", "-C", project, "--json").out)
    assert kept["run"]["exit_code"] == 1
    assert (kept["run"]["device"], kept["run"]["command"]) == (camera.name, "python3 app.py fail")
    lines = {line["text"]: (line["stream"], line["level"]) for line in kept["lines"]}
    assert lines["before"] == ("stdout", "INFO")
    assert lines["ValueError: on purpose"] == ("stderr", "ERROR")
    assert lines[f'  File "{project}/helper.py", line {line}, in fail'] == ("stderr", "ERROR")


def test_logs_show_earlier_runs_by_level_and_time(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    assert incamera("run", "-q", "-C", project, "--device", camera.name).code == 0
    number = json.loads(incamera("logs", "-C", project, "--list", "--json").out)["runs"][0]["number"]
    assert incamera("run", "-q", "-C", project, "--device", camera.name, "--", "fail").code == 1
    shown = incamera("logs", "-C", project, "--run", str(number), "--level", "error").out
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} ERROR +\S+ \S+ ERROR a failure\n", shown)
    everything = incamera("logs", "-C", project, "--run", str(number)).out
    assert "INFO     42\n" in everything
    assert "a detail" in everything
    assert incamera("logs", "-C", project, "--since", "2199-01-01").out == ""
    missing = incamera("logs", "-C", project, "--run", "99999")
    assert (missing.code, "there is no run 99999" in missing.err) == (2, True)


def test_following_a_run(project: Path, looping: Running, incamera: Run) -> None:
    with running("logs", "-C", project, "--follow", env=command_environment()) as follower:
        follower.await_output("begun")
        looping.press_ctrl_c()
        assert looping.finish() == 130
        assert follower.finish() == 0
    assert b"KeyboardInterrupt" in follower.out
