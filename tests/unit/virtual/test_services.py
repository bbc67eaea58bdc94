"""Lines of the stand-ins of axevent and axparameter, which the command line reads and writes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import UsageError
from incamera.virtual.services import (
    Parameter,
    Value,
    parse_event,
    parse_parameters,
    parse_value,
    render_event,
    render_parameters,
)
from incamera.workflows import virtual_services

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
    parameters = [Parameter("lamp", "Name", 'a "lamp" 100 %\n', "string"), Parameter("lamp", "Speed", "5", "int:min=1")]
    assert parse_parameters("lamp", render_parameters(parameters)) == parameters


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
    run(virtual_services._SET, folder, "lamp", input='Speed="5"\n')
    assert '== lamp\nSpeed="5"\n' in run(virtual_services._PARAMS, folder)
