"""Lines of the stand-ins of axevent and axparameter, which the command line reads and writes."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.waiting import wait_until

from incamera.errors import UsageError
from incamera.virtual.services import (
    Parameter,
    Value,
    parse_event,
    parse_parameters,
    parse_value,
    render_change,
    render_event,
)
from incamera.workflows import virtual_services
from incamera.workflows.virtual_services import parse_all_parameters

if TYPE_CHECKING:
    from incamera.transport.protocols import Script

DATA: dict[str, Value] = {"port": 1, "state": True, "level": 0.5, "text": "Jürgen; 100 %\t~,\n", "tnsaxis:own": "x"}
TOPIC = "tns1:Device/tnsaxis:IO/Port"


@pytest.mark.parametrize("is_state", [True, False])
def test_event_is_read_as_it_was_written(is_state: bool) -> None:
    line = render_event(TOPIC, DATA, time=1700000000.25, is_state=is_state)
    assert line.count("\n") == 1
    event = parse_event(line)
    assert event is not None
    assert (event.time, event.topic, event.is_state, event.data) == (1700000000.25, TOPIC, is_state, DATA)


@pytest.mark.parametrize("line", ["", "next\t3\n", "x\ty\tstate\n", "1\ty\tother\n", "1\n"])
def test_other_lines_are_no_events(line: str) -> None:
    assert parse_event(line) is None


@pytest.mark.parametrize("topic", ["", "tns2:A", "A//B", "A B"])
def test_topic_that_cannot_be_is_refused(topic: str) -> None:
    with pytest.raises(UsageError, match="is no topic of events"):
        render_event(topic, {}, time=0, is_state=False)


@pytest.mark.parametrize("data", [{"a b": 1}, {"number": 2**31}, {"x:y": 1}])
def test_value_that_cannot_be_is_refused(data: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="no event can have"):
        render_event("A", data, time=0, is_state=False)


def test_values_have_the_type_that_they_look_like() -> None:
    assert [parse_value(text) for text in ("true", "false", "7", "-1.5", "yes", "")] == [
        True,
        False,
        7,
        -1.5,
        "yes",
        "",
    ]


def test_parameters_are_read_as_they_were_written() -> None:
    parameters = [Parameter("lamp", "Name", 'a "lamp" 100 %\n', "string"), Parameter("lamp", "Speed", "5", "string")]
    assert parse_parameters("lamp", "".join(map(render_change, parameters))) == parameters


@pytest.mark.starts_processes
def test_scripts_do_their_work_in_a_shell(tmp_path: Path) -> None:
    def run(script: Script, *words: str, input: str = "") -> str:
        command = script.program(*words).arguments
        return subprocess.run(command, input=input, capture_output=True, text=True, check=True).stdout

    folder = str(tmp_path / "events")
    assert run(virtual_services._DECLARED, folder) == run(virtual_services._LOG, folder, "0") == ""
    one, two = (render_event("A", {"n": n}, time=n, is_state=True) for n in (1, 2))
    run(virtual_services._SEND, folder, "camera-a", input=one)
    run(virtual_services._SEND, folder, "", input=two)
    (tmp_path / "events/declared/999999999.1").write_text("of a process that has ended")
    assert run(virtual_services._DECLARED, folder) == one
    assert run(virtual_services._LOG, folder, "0").split("\n", 1) == [str(len(one + two)), one + two]
    assert run(virtual_services._LOG, folder, str(len(one))).split("\n", 1)[1] == two
    (tmp_path / "events/lamp").write_text('Speed="4" type="int:min=1"\nName="a=b"\n')
    run(virtual_services._SET, folder, "lamp", input='speed="5"\n')
    assert parse_all_parameters(run(virtual_services._PARAMS, folder)) == [
        Parameter("lamp", "speed", "5", "int:min=1"),
        Parameter("lamp", "Name", "a=b", "string"),
    ]
    done = call(virtual_services._SET, folder, "lamp", input='Gone="1"\n')
    assert (done.returncode, "no longer there" in done.stderr) == (1, True)
    assert not [path for path in (tmp_path / "events").iterdir() if path.name in (".host", ".new")]


@pytest.mark.starts_processes
def test_scripts_wait_for_the_lock_of_the_stand_ins(tmp_path: Path) -> None:
    (tmp_path / "declared").mkdir()
    (tmp_path / "lamp").write_text('Speed="4"\n')
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = [virtual_services._SET.program(str(tmp_path), "lamp").arguments]
        with subprocess.Popen(words[0], stdin=subprocess.PIPE, text=True) as process:
            assert process.stdin
            process.stdin.write('Speed="5"\n')
            process.stdin.close()
            wait_until((tmp_path / ".host").exists, "the script asks for the lock")
            (tmp_path / "lamp").write_text('Speed="4"\nOther="new"\n')
            fcntl.flock(lock, fcntl.LOCK_UN)
        assert process.returncode == 0
    assert (tmp_path / "lamp").read_text() == 'Speed="5"\nOther="new"\n'
    assert not (tmp_path / ".host").exists()


# Every account of the camera may write to the folders of events and parameters.

EVENT = render_event("A", {"n": 1}, time=1, is_state=True)


@pytest.mark.parametrize(
    "line",
    [
        f"{'9' * 5000}\td\tstate",
        "\u0661\td\tstate",
        *(
            f"1\td\tstate\t{part}"
            for part in (f"topic{'9' * 5000};s;s;;a;~;~", "topic\u0661;s;s;;a;~;~", "topic;s;s;;a;~;~")
        ),
        *(
            f"1\td\tstate\tk;~;{part};~;~"
            for part in (f"i;d;{'9' * 5000}", "d;d;nan", "d;d;1e999", "s;d;\udcff", "s;d;%FF%")
        ),
    ],
)
def test_any_line_of_events_is_read_or_left_out(line: str) -> None:
    event = parse_event(line)
    if event is not None:
        json.dumps([event.time, event.topic, dict(event.data)], allow_nan=False)
        datetime.datetime.fromtimestamp(event.time, datetime.UTC)


@given(st.text("0123456789\t;~%abdist.-eEnf\udcff\n") | st.text())
def test_any_text_is_read_as_events_and_parameters(text: str) -> None:
    assert all("==" not in one.app for one in parse_all_parameters(text))
    event = parse_event("1\td\tstate\t" + text)
    assert event is not None
    assert event.time == 1e-6


def planted(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder of events, and a file that is none of theirs."""
    folder, victim = tmp_path / "events", tmp_path / "victim"
    (folder / "declared").mkdir(parents=True)
    victim.write_text(EVENT)
    return folder, victim


def call(script: Script, *words: str | Path, input: str = EVENT) -> subprocess.CompletedProcess[str]:
    command = script.program(*map(str, words)).arguments
    return subprocess.run(command, input=input, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.starts_processes
@pytest.mark.parametrize("name", ["log", "declared", "declared/camera-a", ""])
@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_event_is_not_sent_through_a_planted_link(tmp_path: Path, name: str, kind: str) -> None:
    folder, victim = planted(tmp_path)
    if kind != "file":
        victim.unlink()
    if kind == "folder":
        victim.mkdir(mode=0o755)
    place = folder / name
    if place.is_dir():
        shutil.rmtree(place)
    place.symlink_to(victim)
    before = [(path, path.stat().st_mode) for path in sorted(victim.rglob("*"))] if kind == "folder" else []
    done = call(virtual_services._SEND, folder, "camera-a")
    assert done.returncode, done
    assert "is not what events are written to" in done.stderr
    if kind == "folder":
        assert victim.stat().st_mode & 0o777 == 0o755
        assert [(path, path.stat().st_mode) for path in sorted(victim.rglob("*"))] == before
    else:
        assert victim.exists() is (kind == "file")
        assert kind == "nothing" or victim.read_text() == EVENT


@pytest.mark.starts_processes
def test_nothing_but_files_of_theirs_is_read_as_events_and_parameters(tmp_path: Path) -> None:
    folder, victim = planted(tmp_path)
    for place in (folder / "log", folder / "declared/camera-link", folder / "lamp"):
        place.symlink_to(victim)
    os.mkfifo(folder / "declared/camera-pipe")
    os.mkfifo(folder / "pipe")
    (folder / "declared/camera-folder").mkdir()
    (folder / "declared/-n").write_text(EVENT)
    # A file must not speak for another app, whose file would then be written.
    (folder / "own").write_text('Speed="1"\n== ../../victim\nSpeed="2"')
    (folder / "new\n== other").write_text('Speed="3"\n')
    assert call(virtual_services._DECLARED, folder).stdout == ""
    assert call(virtual_services._LOG, folder, "0").stdout == ""
    found = parse_all_parameters(call(virtual_services._PARAMS, folder).stdout)
    assert {one.app for one in found} == {"own"}
    (folder / "log").unlink()
    os.mkfifo(folder / "log")
    assert call(virtual_services._LOG, folder, "0").stdout == ""


@pytest.mark.starts_processes
@pytest.mark.parametrize("name", ["link", "pipe", "lost", "folder"])
def test_parameters_are_written_to_a_file_of_theirs_alone(tmp_path: Path, name: str) -> None:
    folder, victim = planted(tmp_path)
    (folder / "link").symlink_to(victim)
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    done = call(virtual_services._SET, folder, name, input='Speed="1"\n')
    assert done.returncode, done
    assert victim.read_text() == EVENT
    assert [path.name for path in folder.glob(".new*")] == []
