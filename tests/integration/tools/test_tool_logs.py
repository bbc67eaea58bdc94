"""Tracebacks of apps in a virtual camera, and `incamera logs`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..command import Run, Running, command_environment, running
from .app import HELPER

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


def test_traceback_names_the_file_on_the_host(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    done = incamera("run", "-q", "-C", project, "--device", camera.name, "--", "fail")
    assert done.code == 1
    line = HELPER.splitlines().index('    raise ValueError("on purpose")') + 1
    assert f'  File "{project}/helper.py", line {line}, in fail\n' in done.err
    assert f'File "{project}/app.py", line' in done.err
    assert "/tmp/incamera" not in done.err

    kept = json.loads(incamera("logs", "-C", project, "--json").out)
    assert kept["run"]["exit_code"] == 1
    assert (kept["run"]["device"], kept["run"]["command"]) == (camera.name, "python3 app.py fail")
    streams = {line["text"]: line["stream"] for line in kept["lines"]}
    assert streams["before"] == "stdout"
    assert streams["ValueError: on purpose"] == "stderr"
    assert streams[f'  File "{project}/helper.py", line {line}, in fail'] == "stderr"


def test_logs_show_earlier_runs_with_the_time_of_each_line(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    assert incamera("run", "-q", "-C", project, "--device", camera.name).code == 0
    number = json.loads(incamera("logs", "-C", project, "--list", "--json").out)["runs"][0]["number"]
    assert incamera("run", "-q", "-C", project, "--device", camera.name, "--", "fail").code == 1
    shown = incamera("logs", "-C", project, "--run", str(number)).out
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} \S+ \S+ ERROR a failure$", shown, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} 42$", shown, re.MULTILINE)
    assert "a detail" in shown
    assert incamera("logs", "-C", project, "--since", "2199-01-01").out == ""
    missing = incamera("logs", "-C", project, "--run", "99999")
    assert (missing.code, "there is no log of run 99999" in missing.err) == (2, True)


def test_logs_follow_a_run_to_its_end(project: Path, looping: Running, incamera: Run) -> None:
    with running("logs", "-C", project, "--follow", env=command_environment()) as follower:
        follower.await_output("started")
        looping.press_ctrl_c()
        assert looping.finish() == 130
        assert follower.finish() == 0
    assert b"KeyboardInterrupt" in follower.out
