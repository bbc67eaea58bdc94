"""Faults of virtual cameras: what can be set, and the files that the stand-ins read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import DeviceError, UsageError
from incamera.transport.protocols import ProgramResult
from incamera.virtual.faults import (
    FAULTS,
    SetFault,
    StorageState,
    parse_fault,
    parse_set_faults,
    parse_storages,
)
from incamera.workflows import virtual_faults

if TYPE_CHECKING:
    from incamera.transport.protocols import Program, Script


@pytest.mark.parametrize(
    ("word", "value"),
    [("no-power", None), ("dropped-frames", 1), ("dropped-frames=1000", 1000), ("rotation", 180), ("rotation=0", 0)],
)
def test_fault_has_the_value_that_is_given_or_its_usual_one(word: str, value: int | None) -> None:
    found = parse_fault(word)
    assert (found.fault.name, found.value) == (word.partition("=")[0], value)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("no-pwer", 'there is no fault "no-pwer"'),
        ("", 'there is no fault ""'),
        ("no-power=1", "the fault no-power has no value"),
        ("rotation=45", 'the fault rotation cannot be "45"'),
        ("rotation=", 'the fault rotation cannot be ""'),
        ("dropped-frames=0", 'the fault dropped-frames cannot be "0"'),
        ("dropped-frames=٣", "the fault dropped-frames cannot be"),
    ],
)
def test_fault_that_cannot_be_set_is_refused(word: str, text: str) -> None:
    with pytest.raises(UsageError, match=text) as refused:
        parse_fault(word)
    assert refused.value.hint


def test_similar_fault_is_suggested() -> None:
    with pytest.raises(UsageError) as refused:
        parse_fault("no-pwer")
    assert refused.value.hint == 'did you mean "no-power"?'


def call(script: Script, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = script.program(*map(str, words)).arguments
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.starts_processes
def test_scripts_set_list_and_clear_faults(tmp_path: Path) -> None:
    folder = tmp_path / "faults"

    def listed() -> list[tuple[str, int | None]]:
        return [(one.fault.name, one.value) for one in parse_set_faults(call(virtual_faults._LIST, folder).stdout)]

    assert listed() == []
    for name, value in (("rotation", "90"), ("no-power", ""), ("rotation", "270"), ("video-restart", "7")):
        assert call(virtual_faults._SET, folder, name, value).returncode == 0
    assert listed() == [("rotation", 270), ("no-power", None)]
    assert {path.name for path in folder.iterdir()} == {"rotation", "no-power", "video-restart"}
    assert call(virtual_faults._CLEAR, folder, "rotation", "model-refused").returncode == 0
    assert listed() == [("no-power", None)]


@pytest.mark.starts_processes
def test_fault_is_not_set_through_a_planted_link(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "faults").symlink_to(tmp_path / "victim")
    done = call(virtual_faults._SET, tmp_path / "faults", "no-power", "")
    assert (done.returncode, "is not a folder" in done.stderr) == (1, True)
    assert not list((tmp_path / "victim").iterdir())


def test_other_lines_are_no_faults_and_no_storages() -> None:
    assert parse_set_faults("other 7\nvideo-restart 7\n\nno-power\nrotation x\n") == [
        SetFault(FAULTS["rotation"], None),
        parse_fault("no-power"),
    ]
    [card] = parse_storages("SD_DISK there 100 50\nSD_DISK odd 1 1\nSD_DISK there x 1\n\n")
    assert (card.name, card.state, card.size, card.free) == ("SD_DISK", StorageState.there, 100, 50)


class FakeSession:
    """A session in whose camera the program that takes the picture ends with each of *results*."""

    def __init__(self, *results: ProgramResult) -> None:
        self.device = "fake"
        self.results = list(results)

    def run(self, program: Program) -> ProgramResult:
        assert program.arguments == ("/usr/libexec/incamera/camera-service", "--drawn")
        return self.results.pop(0)


def take_picture(*results: ProgramResult, timeout: float = 60) -> bytes:
    return virtual_faults.take_picture(FakeSession(*results), timeout=timeout)  # type: ignore[arg-type]


def test_picture_is_awaited_until_something_is_drawn() -> None:
    nothing, picture = ProgramResult(3, b"", b"nothing is drawn"), ProgramResult(0, b"\xff\xd8picture", b"")
    assert take_picture(nothing, picture) == picture.stdout
    with pytest.raises(DeviceError, match="no app has drawn over a picture within 0 s"):
        take_picture(nothing, timeout=0)


def test_camera_whose_service_does_not_run_has_no_picture() -> None:
    with pytest.raises(DeviceError, match="fake: the service is not running"):
        take_picture(ProgramResult(1, b"", b"the service is not running\n"), timeout=0)
