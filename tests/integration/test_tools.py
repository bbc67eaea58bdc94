"""Tests, debuggers, logs and measurements of an app in a virtual camera, as a user has them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import Finished, command_environment
from .dap import Debugger
from .helpers import Running, eventually, inside, running, write_project
from .terminal import Terminal

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

Run = Callable[..., Finished]

APP = """\
import logging
import sys
import time

import helper

logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level="DEBUG")


def main():
    words = sys.argv[1:]
    if "fail" in words:
        print("before", flush=True)
        helper.fail()
    if "stop" in words:
        answer = 42
        breakpoint()
        print("answer", answer)
    if "loop" in words:
        helper.count_up(words)
    print(helper.double(21), flush=True)
    logging.debug("a detail")
    logging.error("a failure")


if __name__ == "__main__":
    main()
"""
HELPER = """\
import time

count = 0


def double(value):
    result = value * 2
    return result


def fail():
    raise ValueError("on purpose")


def count_up(words):
    global count
    print("begun", flush=True)
    while True:
        count += sum(range(2000)) > 0
        time.sleep(0.01)
"""
TESTS = """\
import sys

import helper


def test_good(tmp_path):
    (tmp_path / "x").write_text("x")
    assert helper.double(2) == 4


def test_bad():
    assert helper.double(2) == 5, sys.platform
"""


@pytest.fixture(scope="module")
def cam(start_virtual: Callable[..., VirtualCamera]) -> VirtualCamera:
    return start_virtual("axis-os-11-armv7hf", name="tools")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("tools") / "bell", app=APP, name="bell")
    (folder / "helper.py").write_text(HELPER)
    (folder / "test_helper.py").write_text(TESTS)
    return folder


@pytest.fixture
def looping(project: Path, cam: VirtualCamera) -> Iterator[Running]:
    """The app, going on and on."""
    words = ("run", "-C", project, "--device", cam.name, "--", "loop", "two words")
    with running(*words, env=command_environment()) as command:
        command.await_output("begun")
        yield command


def left_behind(cam: VirtualCamera) -> list[str]:
    """Return what tests and debuggers left in the camera's RAM."""
    return inside(cam, "ls -d /tmp/incamera-test-* /tmp/incamera-debug/*/* /tmp/incamera-flame-* 2>/dev/null").split()


# Tracebacks and logs


def test_a_traceback_names_the_file_that_is_edited(project: Path, cam: VirtualCamera, incamera: Run) -> None:
    done = incamera("run", "-q", "-C", project, "--device", cam.name, "--", "fail")
    assert done.code == 1
    line = HELPER.splitlines().index('    raise ValueError("on purpose")') + 1
    assert f'  File "{project}/helper.py", line {line}, in fail\n' in done.err
    assert f'File "{project}/app.py", line' in done.err
    assert "/tmp/incamera" not in done.err

    kept = json.loads(incamera("logs", "-C", project, "--json").out)
    assert kept["run"]["exit_code"] == 1
    assert (kept["run"]["device"], kept["run"]["command"]) == (cam.name, "python3 app.py fail")
    lines = {line["text"]: (line["stream"], line["level"]) for line in kept["lines"]}
    assert lines["before"] == ("stdout", "INFO")
    assert lines["ValueError: on purpose"] == ("stderr", "ERROR")
    assert lines[f'  File "{project}/helper.py", line {line}, in fail'] == ("stderr", "ERROR")


def test_logs_show_earlier_runs_by_level_and_time(project: Path, cam: VirtualCamera, incamera: Run) -> None:
    assert incamera("run", "-q", "-C", project, "--device", cam.name).code == 0
    number = json.loads(incamera("logs", "-C", project, "--list", "--json").out)["runs"][0]["number"]
    assert incamera("run", "-q", "-C", project, "--device", cam.name, "--", "fail").code == 1
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


# Tests in the camera


def test_pytest_runs_in_the_camera(project: Path, cam: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    before = sorted(path.name for path in project.iterdir())
    done = incamera(
        *("test", "-C", project, "--device", cam.name, "--junit", tmp_path / "junit.xml", "--coverage"),
        env={"COVERAGE_FILE": str(tmp_path / ".coverage")},
    )
    assert done.code == 1
    assert "test_helper.py::test_bad - AssertionError: linux" in done.out
    assert "1 failed, 1 passed" in done.out

    cases = {case.get("name"): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}
    assert cases.keys() == {"test_good", "test_bad"}
    assert cases["test_bad"].find("failure") is not None
    connection = sqlite3.connect(tmp_path / ".coverage")
    files = {path for (path,) in connection.execute("SELECT path FROM file")}
    connection.close()
    assert {str(project / name) for name in ("helper.py", "test_helper.py")} <= files

    # Neither the project nor the camera has more than before, but for the lock.
    lock = "pylock.armv7hf-cp311-test.toml"
    assert sorted({*before, lock, "pylock.armv7hf-cp311.toml"}) == sorted(path.name for path in project.iterdir())
    assert left_behind(cam) == []
    changed = inside(cam, "find /tmp/incamera/bell-test/*/app -name '.pytest_cache' -o -name '.coverage'")
    assert changed == ""


def test_coverage_can_be_combined_with_that_of_the_host(
    project: Path, cam: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    coverage = pytest.importorskip("coverage")
    device = tmp_path / ".coverage.camera"
    done = incamera(
        *("test", "-q", "-C", project, "--device", cam.name, "--coverage", "-k", "good"),
        env={"COVERAGE_FILE": str(device)},
    )
    assert done.code == 0
    combined = coverage.Coverage(data_file=str(tmp_path / ".coverage"))
    combined.combine([str(device)])
    _, _, missing, _ = combined.analysis(str(project / "helper.py"))
    lines = HELPER.splitlines()
    assert lines.index("    return result") + 1 not in missing
    assert lines.index('    raise ValueError("on purpose")') + 1 in missing


@pytest.mark.parametrize(("words", "code"), [(["-k", "nothing"], 5), (["--no-such-option"], 4)])
def test_options_and_exit_codes_are_pytest_s(
    words: list[str], code: int, project: Path, cam: VirtualCamera, incamera: Run
) -> None:
    done = incamera("test", "-q", *words, "-C", project, "--device", cam.name)
    assert done.code == code, done.err


def test_the_lock_of_the_tests_is_that_of_the_app_and_more(project: Path, incamera: Run) -> None:
    from packaging.pylock import Pylock

    texts = [(project / f"pylock.armv7hf-cp311{end}.toml").read_text() for end in ("", "-test")]
    app, tests = (Pylock.from_dict(tomllib.loads(text)) for text in texts)
    assert {package.name for package in app.packages} < {package.name for package in tests.packages}
    assert "pytest" in {package.name for package in tests.packages}


def test_a_project_that_is_built_has_its_tests_beside_its_wheel(
    tmp_path: Path, cam: VirtualCamera, incamera: Run
) -> None:
    folder = write_project(tmp_path / "built", name="built", settings='entry = "built.main"')
    (folder / "app.py").unlink()
    with (folder / "pyproject.toml").open("a") as stream:
        stream.write('\n[build-system]\nrequires = ["flit_core>=3.9"]\nbuild-backend = "flit_core.buildapi"\n')
        stream.write('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('version = "1"\n', 'version = "1"\ndescription = "x"\n'))
    for name, content in {
        "src/built/__init__.py": "",
        "src/built/main.py": "def answer():\n    return 41\n",
        "tests/test_built.py": "from built.main import answer\n\ndef test_it():\n    assert answer() == 42\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    done = incamera("test", "-C", folder, "--device", cam.name)
    assert done.code == 1, done.err
    assert "assert 41 == 42" in done.out


# Debuggers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_debugger_stops_in_the_camera(project: Path, cam: VirtualCamera) -> None:
    port = free_port()
    line = HELPER.splitlines().index("    return result") + 1
    words = ("debug", "-C", project, "--device", cam.name, "--port", port, "--write-launch")
    with running(*map(str, words), env=command_environment()) as command:
        eventually(lambda: f"127.0.0.1:{port}" in command.text or command.process.poll() is not None, "it listens")
        (configuration,) = json.loads((project / ".vscode" / "launch.json").read_text())["configurations"]
        with Debugger(port) as debugger:
            debugger.attach(configuration, project, {project / "helper.py": [line]})
            assert debugger.stopped_at() == (str(project / "helper.py"), line, {"result": "42", "value": "21"})
            assert command.out == b""
            debugger.go_on()
            debugger.event("terminated")
        assert command.finish() == 0
    assert command.out == b"42\n"
    assert left_behind(cam) == []


def test_a_port_that_is_taken_is_told(project: Path, cam: VirtualCamera, incamera: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = incamera("debug", "-C", project, "--device", cam.name, "--port", str(port))
    assert done.code == 2
    assert f"port {port} on this computer cannot be used" in done.err
    assert left_behind(cam) == []


def test_breakpoint_works_in_the_terminal(project: Path, cam: VirtualCamera) -> None:
    words = ("run", "-C", project, "--device", cam.name, "--", "stop")
    person = Terminal(*words, env={**command_environment(), "TERM": "xterm"})
    try:
        person.await_text(f"> {project}/app.py(")
        person.await_text("(Pdb) ")
        person.type("p answer + 1\n")
        person.await_text("\n43")
        person.type("answer = 7\n")
        person.type("continue\n")
        person.await_text("answer 7")
        assert person.finish() == 0
    finally:
        person.process.kill()
        person.process.wait()
        os.close(person.end)
        os.close(person.inner)


# What it costs


def test_where_the_time_goes_at_the_start(project: Path, cam: VirtualCamera, incamera: Run) -> None:
    done = incamera("run", "-C", project, "--device", cam.name, "--profile-startup", "--json")
    assert done.code == 0
    profile = json.loads(done.out)
    phases = {phase["name"]: phase for phase in profile["phases"]}
    assert {"connect", "bundle", "deploy", "start", "imports", "app"} <= phases.keys()
    assert 0 < phases["start"]["inside"] <= phases["start"]["seconds"] + 0.02
    assert profile["seconds"] == pytest.approx(sum(phase["seconds"] for phase in profile["phases"]))
    tops = {item["name"]: item for item in profile["imports"]}
    assert {"logging", "helper"} <= tops.keys()
    assert tops["logging"]["seconds"] >= sum(child["seconds"] for child in tops["logging"]["children"])
    assert phases["imports"]["seconds"] == pytest.approx(sum(item["seconds"] for item in profile["imports"]))
    assert "42\n" in done.err
    assert "import time:" not in done.err


def test_what_runs_can_be_seen_and_ended(
    project: Path, cam: VirtualCamera, looping: Running, incamera: Run, tmp_path: Path
) -> None:
    device = ("--device", cam.name)
    (process,) = json.loads(incamera("top", *device, "--once", "--json").out)["processes"]
    assert (process["app"], process["command"]) == ("bell", "python3 app.py loop 'two words'")
    assert process["resident"] > 1_000_000
    assert process["threads"] == 1
    assert process["files"] >= 3
    inner = inside(cam, f"grep VmHWM /proc/{process['pid']}/status").split()[1]
    assert process["peak"] <= int(inner) * 1024

    with running("top", *device, "--json", "--every", "0.5", env=command_environment()) as top:
        eventually(lambda: top.out.count(b"\n") >= 3, "there are three samples")
        top.process.send_signal(signal.SIGINT)
        assert top.finish() == 0
    samples = [json.loads(line) for line in top.out.splitlines()]
    assert all(sample["processes"][0]["cpu_percent"] > 0 for sample in samples)

    (listed,) = json.loads(incamera("ps", *device, "--json").out)["processes"]
    assert listed["pid"] == process["pid"]
    ended = json.loads(incamera("stop", "-C", project, *device, "--json").out)["ended"]
    assert [item["pid"] for item in ended] == [process["pid"]]
    assert looping.finish() == 128 + signal.SIGTERM
    assert json.loads(incamera("ps", *device, "--json").out)["processes"] == []
    assert "nothing of ours runs" in incamera("ps", *device).err


@pytest.mark.parametrize("profile", ["axis-os-11-armv7hf", "axis-os-11-aarch64"])
def test_a_flame_graph(
    profile: str,
    cam: VirtualCamera,
    project: Path,
    start_virtual: Callable[..., VirtualCamera],
    incamera: Run,
    tmp_path: Path,
) -> None:
    where = cam if profile == cam.profile else start_virtual(profile, name="tools-64")
    nothing = incamera("top", "--device", where.name, "--flame", tmp_path / "none.svg", cwd=project)
    assert (nothing.code, "nothing of ours runs" in nothing.err) == (2, True)
    words = ("run", "-C", project, "--device", where.name, "--", "loop")
    with running(*words, env=command_environment()) as command:
        command.await_output("begun")
        graph = tmp_path / "out.svg"
        done = incamera("top", "--device", where.name, "--flame", graph, "--seconds", "3", cwd=project)
        assert done.code == 0, done.err
        root = ET.parse(graph).getroot()
        assert root.tag.endswith("}svg")
        titles = [element.text or "" for element in root.iter() if element.tag.endswith("}title")]
        assert any(title.startswith("count_up (helper.py:") for title in titles), titles
        # The app was only looked at.
        assert command.process.poll() is None
        assert "incamera-flame" not in inside(where, "cat /proc/mounts; ls /tmp")
        command.press_ctrl_c()
        command.finish()


# A console inside the app


@pytest.fixture
def watched(project: Path, cam: VirtualCamera) -> Iterator[Running]:
    words = ("run", "--watch", "-C", project, "--device", cam.name, "--", "loop")
    with running(*words, env=command_environment()) as command:
        command.await_output("begun")
        yield command
        command.press_ctrl_c()
        command.finish()


def test_a_console_inside_the_app(project: Path, cam: VirtualCamera, watched: Running, incamera: Run) -> None:
    typed = (
        "import helper\nhelper.count > 0\nfor number in range(2):\n    print(number)\n\n1/0\nhelper.fail()\nstacks()\n"
    )
    done = incamera("python", "--attach", "-C", project, "--device", cam.name, input=typed)
    assert done.code == 0, done.err
    assert done.out.startswith("True\n0\n1\n")
    assert "ZeroDivisionError: division by zero\n" in done.out
    assert f'  File "{project}/helper.py", line' in done.out  # of the traceback, and of the stacks
    assert re.search(r"MainThread:\n.*\n.*\n  File \"[^\"]*helper.py\", line \d+, in count_up\n", done.out)
    # The app has gone on.
    again = incamera("python", "--attach", "-C", project, "--device", cam.name, input="import helper; helper.count > 0")
    assert again.out == "True\n"


def test_a_person_at_the_console(project: Path, cam: VirtualCamera, watched: Running) -> None:
    words = ("python", "--attach", "-C", project, "--device", cam.name)
    person = Terminal(*words, env={**command_environment(), "TERM": "xterm"})
    try:
        person.await_text(">>> ")
        person.type("import helper\n")
        person.await_text(">>> ")
        person.type("helper.cou\t")
        person.await_text("nt")
        # Python's readline misses a signal that comes in the moment before it waits for a key; no person is so fast.
        time.sleep(0.5)
        person.type("\x03")
        person.await_text("KeyboardInterrupt")
        person.await_text(">>> ")
        person.type("while True: pass\n\n")
        person.await_text("... ")
        time.sleep(1)
        person.type("\x03")
        person.await_text("KeyboardInterrupt")
        person.await_text(">>> ")
        person.type("6 * 7\n")
        person.await_text("\n42")
        person.await_text(">>> ")
        person.type("\x1b[A")  # the line before
        person.await_text("6 * 7")
        person.type("\n\x04")
        assert person.finish() == 0
    finally:
        person.process.kill()
        person.process.wait()
        os.close(person.end)
        os.close(person.inner)
    assert watched.process.poll() is None


def test_nothing_to_attach_to(project: Path, cam: VirtualCamera, incamera: Run) -> None:
    done = incamera("python", "--attach", "-C", project, "--device", cam.name)
    assert done.code == 4
    assert "bell does not run on tools so that one could attach to it" in done.err
    assert "incamera run --watch" in done.err
