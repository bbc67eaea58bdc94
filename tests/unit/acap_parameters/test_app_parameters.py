"""The app's parameters, over the stand-in of the camera's library and on a desk."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.unit.acap_video.conftest import NEWEST, STAND_INS, built_module, fresh_settings, video

import acap
from acap.params import Parameters

__all__ = ["built_module", "fresh_settings", "video"]

LONG = 60.0
only_camera = pytest.mark.parametrize("file", ["camera"], indirect=True)
only_desk = pytest.mark.parametrize("file", ["desk"], indirect=True)


@pytest.fixture(scope="session")
def camera_folder(tmp_path_factory: pytest.TempPathFactory, video: None) -> Path:
    """The folder of the camera's parameters: a process keeps the one with which it began."""
    folder = tmp_path_factory.mktemp("camera-parameters")
    os.environ["INCAMERA_PARAMETERS"] = str(folder)
    (folder / ".system").write_text('Brand.Brand="AXIS"\n', "utf-8")
    ctypes.CDLL(str(STAND_INS / NEWEST / "libaxparameter.so.1"))
    return folder


@pytest.fixture(params=["camera", "desk"])
def file(request: pytest.FixtureRequest, camera_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the app's parameters: Interval and Name."""
    from acap.app import app_name

    monkeypatch.setenv("ACAP_APP_NAME", "lamp")
    app_name.cache_clear()
    if request.param == "desk":
        path = tmp_path / "parameters.toml"
        monkeypatch.setenv("ACAP_PARAMETERS", str(path))
        path.write_text('# first\nInterval = "5"\nName = "a lamp"\n"root.Brand.Brand" = "AXIS"\n', "utf-8")
        return path
    monkeypatch.delenv("ACAP_PARAMETERS", raising=False)
    write(camera_folder / "lamp", "5")
    return camera_folder / "lamp"


def write(path: Path, interval: str) -> None:
    """Change the file from outside, as the camera's page does."""
    new = path.with_name(".new-here")
    if path.suffix:
        new.write_text(f'Interval = "{interval}"\nName = "a lamp"\n', "utf-8")
    else:
        new.write_text(f'Interval="{interval}" type="int:min=1"\nName="a lamp" type="string"\n', "utf-8")
    new.replace(path)


def test_parameters_are_a_mapping_of_text(file: Path) -> None:
    parameters = acap.parameters
    assert dict(parameters) == {"Interval": "5", "Name": "a lamp"}
    parameters["Interval"] = 6
    assert (parameters["Interval"], parameters.integer("Interval"), parameters.number("Interval")) == ("6", 6, 6.0)
    parameters["Name"] = 'Jürgen\'s "lamp" 100 %\n\\'
    assert parameters["Name"] == 'Jürgen\'s "lamp" 100 %\n\\'
    parameters["Name"] = True
    assert parameters["Name"] == "yes"
    assert parameters.boolean("Name")
    assert "Name" in parameters
    assert "name_" not in parameters
    assert parameters["root.lamp.Interval"] == "6"
    assert parameters["root.Brand.Brand"] == "AXIS"
    assert len(parameters) == 2


def test_parameters_are_added_once_and_removed(file: Path) -> None:
    assert acap.parameters.add("Level", 3, "int:min=1;max=9") == "3"
    assert acap.parameters.add("Level", 4) == "3"
    del acap.parameters["Level"]
    assert "Level" not in acap.parameters
    with pytest.raises(KeyError):
        del acap.parameters["Level"]


@only_camera
def test_parameters_that_the_project_declares_are_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"interval": ["60", "int:min=1"], "Level": ["3", "int:min=1;max=9"], "Say": ["grüß", "string"]}
    monkeypatch.setenv("ACAP_DECLARED_PARAMETERS", json.dumps(declared))
    assert dict(Parameters()) == {"Interval": "5", "Name": "a lamp", "Level": "3", "Say": "grüß"}
    assert 'Level="3" type="int:min=1;max=9"' in file.read_text("utf-8")
    Parameters()["Level"] = 4
    assert Parameters()["Level"] == "4"  # what users have set stays


def test_unknown_parameter_is_a_key_error(file: Path) -> None:
    for use in (lambda: acap.parameters["Inteval"], lambda: acap.parameters.__setitem__("Inteval", 5)):
        with pytest.raises(KeyError, match=r"the parameter Inteval: .*there is no such parameter") as caught:
            use()
        assert isinstance(caught.value, acap.NoSuchParameter)
    assert acap.parameters.get("Inteval", "7") == "7"


@pytest.mark.parametrize("name", ["", "A B", "A=B", 'A"B', "A\nB", "A\0B"])
def test_name_that_no_parameter_can_have_is_refused(file: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a parameter"):
        acap.parameters[name]


def test_text_that_is_no_number_is_refused(file: Path) -> None:
    for read, what in (("integer", "no integer"), ("number", "no number"), ("boolean", "neither yes nor no")):
        with pytest.raises(ValueError, match=f'Name is "a lamp", and {what}') as caught:
            getattr(acap.parameters, read)("Name")
        assert isinstance(caught.value, acap.BadParameter)


def test_changes_from_outside_come(file: Path) -> None:
    with acap.parameters.changes("Interval", timeout=LONG) as changes:
        write(file, "7")
        assert next(changes) == "7"
        write(file, "8")
        assert next(changes) == "8"
        changes.timeout = 0.05
        assert list(changes) == []
        assert acap.parameters["Interval"] == "8"
    assert list(changes) == []


def test_changes_come_to_all_that_wait(file: Path) -> None:
    one, two, other = (acap.parameters.changes(name, timeout=LONG) for name in ("Interval", "Interval", "Name"))
    acap.parameters["Interval"] = 9
    assert next(one) == next(two) == "9"
    one.close()
    acap.parameters["Interval"] = 10
    assert next(two) == "10"
    assert other.take() == []
    two.close()
    again = acap.parameters.changes("Interval", timeout=LONG)
    acap.parameters["Interval"] = 11
    assert next(again) == "11"


def test_batch_is_written_at_its_end(file: Path) -> None:
    with acap.parameters.changes("Interval", timeout=LONG) as changes:
        with acap.parameters.batch():
            acap.parameters["Interval"] = 20
            acap.parameters["Name"] = "twenty"
            assert acap.parameters["Interval"] == "20"
            assert "twenty" not in file.read_text("utf-8")
        assert "twenty" in file.read_text("utf-8")
        assert next(changes) == "20"
        with contextlib.suppress(RuntimeError), acap.parameters.batch():
            acap.parameters["Interval"] = 30
            raise RuntimeError("stop")
        with pytest.raises(KeyError), acap.parameters.batch():
            acap.parameters["Inteval"] = 30
        assert acap.parameters["Interval"] == "20"
        with acap.parameters.batch(), pytest.raises(OSError, match="cannot be in another one"):
            acap.parameters.batch().__enter__()


def test_handler_may_read_and_set_parameters(file: Path) -> None:
    seen: list[Any] = []

    @acap.parameters.on_change("Interval")
    def changed(value: str) -> None:
        seen.append((threading.get_ident(), value, acap.parameters["Interval"]))
        if value == "7":
            acap.parameters["Interval"] = 8
            acap.parameters["Name"] = "changed"
        else:
            raise RuntimeError("seen")

    write(file, "7")
    with pytest.raises(RuntimeError, match="seen"):
        acap.wait(LONG)
    here = threading.get_ident()
    assert seen == [(here, "7", "7"), (here, "8", "8")]
    acap.parameters.remove_handler(changed)
    write(file, "9")
    acap.wait(0.05)
    assert len(seen) == 2


def test_changes_come_in_an_event_loop(file: Path) -> None:
    async def main() -> tuple[list[str], list[str]]:
        handled: list[str] = []

        @acap.parameters.on_change("Interval")
        async def changed(value: str) -> None:
            handled.append(value)

        looped: list[str] = []
        changes = acap.parameters.changes("Interval", timeout=LONG)
        write(file, "1")
        async for value in changes:
            looped.append(value)
            if len(looped) == 3:
                break
            write(file, value + "1")
        while len(handled) < 3:
            await asyncio.sleep(0.01)
        acap.parameters.remove_handler(changed)
        return looped, handled

    assert asyncio.run(main()) == (["1", "11", "111"], ["1", "11", "111"])


def test_coroutine_without_an_event_loop_is_refused(file: Path) -> None:
    @acap.parameters.on_change("Interval")
    async def changed(value: str) -> None:
        pass

    write(file, "2")
    with pytest.raises(TypeError, match="is a coroutine function: add it while an event loop runs"):
        acap.wait(LONG)
    acap.parameters.remove_handler(changed)


@only_camera
def test_parameter_that_can_only_be_read_is_told(file: Path) -> None:
    file.write_text('Serial="7" type="readonly:string"\n', "utf-8")
    for name in ("Serial", "root.Brand.Brand"):
        with pytest.raises(PermissionError, match=f"cannot set the parameter {name}") as caught:
            acap.parameters[name] = "8"
        assert isinstance(caught.value, acap.ParameterReadOnly)
        assert (caught.value.code, caught.value.domain) == (15, "axparameter")


@only_camera
def test_forgotten_changes_leave_no_descriptor(file: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    acap.parameters.changes("Interval").close()
    gc.collect()
    before = descriptors()
    for number in range(20):
        changes = acap.parameters.changes("Interval", timeout=LONG)
        acap.parameters["Interval"] = 100 + number
        next(changes)
        del changes
    gc.collect()
    assert descriptors() == before


@only_camera
def test_parameters_are_refused_after_a_fork(file: Path) -> None:
    assert acap.parameters["Interval"] == "5"
    pid = os.fork()
    if pid == 0:
        try:
            acap.parameters["Interval"]
        except RuntimeError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@only_desk
def test_comments_in_the_file_stay(file: Path) -> None:
    acap.parameters["Name"] = "another"
    acap.parameters.add("Level", 1)
    lines = ["# first", 'Interval = "5"', 'Name = "another"', '"root.Brand.Brand" = "AXIS"', 'Level = "1"']
    assert file.read_text("utf-8").splitlines() == lines


@only_desk
def test_file_that_is_no_toml_is_told(file: Path) -> None:
    file.write_text("Interval = \n", "utf-8")
    with pytest.raises(OSError, match=r"parameters\.toml: Invalid value \(at line 1"):
        acap.parameters["Interval"]


def test_handlers_run_in_other_loops_of_the_thread(file: Path) -> None:
    seen: list[str] = []
    acap.parameters.on_change("Name")(seen.append)
    with acap.parameters.changes("Interval", timeout=LONG) as changes:
        acap.parameters["Name"] = "first"
        acap.parameters["Interval"] = 77
        assert next(changes) == "77"
    with acap.video.Stream(320, 240, "nv12") as stream:
        acap.parameters["Name"] = "second"
        for _ in stream:
            if seen == ["first", "second"]:
                break
    acap.parameters.remove_handler(seen.append)
