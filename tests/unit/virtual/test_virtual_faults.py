"""Faults of virtual cameras: what can be set, and the files that the stand-ins read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import UsageError
from incamera.transport.protocols import ProgramResult
from incamera.virtual.faults import (
    FAULTS,
    PICTURES_FOLDER,
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


@pytest.mark.starts_processes
def test_picture_is_taken_of_the_wanted_number_and_process(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "7.1.jpg").symlink_to(tmp_path / "secret")
    (pictures / "7.20.jpg").write_text("twenty")
    (pictures / "7.300.jpg").write_text("three hundred")
    (pictures / "8.300.jpg").write_text("other")
    assert call(virtual_faults._TAKE, pictures, "7", "*").stdout == "7.20.jpg\ntwenty"
    assert call(virtual_faults._TAKE, pictures, "7", "300").stdout == "7.300.jpg\nthree hundred"
    assert call(virtual_faults._TAKE, pictures, "7", "1").stdout == ""
    assert call(virtual_faults._TAKE, tmp_path / "gone", "7", "*").stdout == ""


def test_other_lines_are_no_faults_and_no_storages() -> None:
    assert parse_set_faults("picture 7\nvideo-restart 7\n\nno-power\nrotation x\n") == [
        SetFault(FAULTS["rotation"], None),
        parse_fault("no-power"),
    ]
    [card] = parse_storages("SD_DISK there 100 50\nSD_DISK odd 1 1\nSD_DISK there x 1\n\n")
    assert (card.name, card.state, card.size, card.free) == ("SD_DISK", StorageState.there, 100, 50)


class FakeSession:
    """A session in whose camera no app answers; Ctrl-C is pressed while the picture is asked for."""

    def __init__(self) -> None:
        self.device = "fake"
        self.scripts: list[tuple[str, ...]] = []

    def run(self, program: Program, *, input: bytes = b"") -> ProgramResult:
        name, *words = program.arguments[3:]
        self.scripts.append((name, *words))
        if name == "incamera-picture":
            raise KeyboardInterrupt
        return ProgramResult(0, b"", b"")


def test_nothing_is_asked_for_after_ctrl_c() -> None:
    session = FakeSession()
    with pytest.raises(KeyboardInterrupt):
        virtual_faults.take_picture(session, process=None, timeout=60)  # type: ignore[arg-type]
    (_, folder, _, number), _, cleared, pictures = session.scripts
    assert cleared == ("incamera-clear-fault", folder, "picture")
    assert pictures == ("incamera-clear-pictures", PICTURES_FOLDER, number)
