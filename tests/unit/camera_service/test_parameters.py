"""The engine of parameters in the camera's service: what apps see of one another, and of a service that is killed."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.acap_video.conftest import built_module
from tests.waiting import wait_until

from .lines import Line
from .programs import ASK, Program, ticks, used

if TYPE_CHECKING:
    from .conftest import Service

__all__ = ["built_module"]
pytestmark = pytest.mark.starts_processes

OPEN, ADD, REMOVE, CHECK, STAGE, SYNC, GET, LIST, CHANGES, WATCH, UNWATCH, CHANGED = range(16, 28)
SEED, ROUNDS = 20261202, 300
SERVE = """
@acap.parameters.on_change("Interval")
def changed(value):
    tell("changed", value)
@acap.parameters.on_change("Name")
def renamed(value):
    tell("renamed", value)
tell("ready", acap.parameters["Interval"])
acap.wait()
"""


def app(module: Path, code: str) -> Program:
    return Program(module, "libaxparameter.so.1", code)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service's folder of parameters, and not one of the apps': these know their line only."""
    path = tmp_path / "parameters"
    path.mkdir()
    (path / "lamp").write_text('Interval="5" type="int:min=1"\nName="a lamp" type="string"\n', "utf-8")
    monkeypatch.setenv("INCAMERA_PARAMETERS", str(path))
    return path


@pytest.fixture
def shared(folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("INCAMERA_CAMERA_SERVICE", str(service.path))
    monkeypatch.delenv("INCAMERA_PARAMETERS")
    # A service that is started anew keeps the folder.
    service.environment = {"INCAMERA_PARAMETERS": str(folder)}
    return service


def write(path: Path, interval: str) -> None:
    new = path.with_name(".new-here")
    new.write_text(f'Interval="{interval}" type="int:min=1"\nName="a lamp" type="string"\n', "utf-8")
    new.replace(path)


def test_apps_see_one_another_and_what_the_host_changes(shared: Service, built_module: Path, folder: Path) -> None:
    setter = "for line in sys.stdin:\n    acap.parameters['Interval'] = line.strip()\n    tell(dict(acap.parameters))"
    with app(built_module, SERVE) as one, app(built_module, setter) as other:
        assert one.told() == ["ready", "5"]
        assert other.say("6") == [{"Interval": "6", "Name": "a lamp"}]
        assert one.told() == ["changed", "6"]
        write(folder / "lamp", "7")
        assert one.told() == ["changed", "7"]
    assert not list(folder.glob("*.new*"))


def test_killed_service_is_told_and_comes_back_by_itself(shared: Service, built_module: Path, folder: Path) -> None:
    with app(built_module, SERVE) as one, app(built_module, ASK) as other:
        assert one.told() == ["ready", "5"]
        assert other.say("acap.parameters['Interval']") == ["5"]
        for value in ("6", "8"):
            shared.kill()
            assert other.say("acap.parameters['Interval']") == ["ParametersDown", True, 16]
            assert other.say("acap.parameters.__setitem__('Interval', 1)") == ["ParametersDown", True, 16]
            assert other.say("acap.parameters.add('New', 1)") == ["ParametersDown", True, 16]
            write(folder / "lamp", value)  # nobody can tell of it now
            shared.start()
            assert one.told() == ["changed", value]
            assert other.say("acap.parameters['Interval']") == [value]
            write(folder / "lamp", f"{value}0")
            assert one.told() == ["changed", f"{value}0"]


def test_waiting_app_uses_no_processor_time_while_the_service_is_gone(shared: Service, built_module: Path) -> None:
    with app(built_module, SERVE) as one:
        assert one.told() == ["ready", "5"]
        before = ticks(shared.process.pid), ticks(one.process.pid)
        time.sleep(0.5)
        assert ticks(shared.process.pid) - before[0] <= 1
        assert ticks(one.process.pid) - before[1] <= 1
        shared.kill()
        before_down = ticks(one.process.pid)
        time.sleep(1)
        assert ticks(one.process.pid) - before_down <= 3


def test_batch_over_a_restart_is_written_whole(shared: Service, built_module: Path, folder: Path) -> None:
    code = """
from acap import _parameters
acap.parameters["Interval"]
_parameters.put(b"Interval", b"20", False)
tell("put")
sys.stdin.readline()
_parameters.put(b"Name", b"twenty", True)
tell(dict(acap.parameters))
"""
    with app(built_module, code) as one:
        assert one.told() == ["put"]
        assert 'Interval="5"' in (folder / "lamp").read_text("utf-8")
        shared.restart()
        assert one.say("") == [{"Interval": "20", "Name": "twenty"}]


def test_killed_app_leaves_nothing(shared: Service, built_module: Path) -> None:
    before = used(shared.process.pid)
    with app(built_module, SERVE) as one:
        assert one.told() == ["ready", "5"]
        assert used(shared.process.pid) > before
    wait_until(
        lambda: all(now <= then for now, then in zip(used(shared.process.pid), before, strict=True)),
        lambda: f"{used(shared.process.pid)} is {before}",
    )


# Lines of hand


def text(*words: str | bytes) -> bytes:
    return b"".join((word if isinstance(word, bytes) else word.encode()) + b"\0" for word in words)


class Parameters(Line):
    def __init__(self, service: Service, app: str = "lamp") -> None:
        super().__init__(service.path)
        assert self.hello("axparameter")
        if app:
            assert self.call(OPEN, text(app))[0] == 0

    def call(self, kind: int, data: bytes = b"") -> tuple[int, bytes, list[int]]:
        self.send(kind, 0, data)
        answer = self.receive()
        assert answer is not None
        return answer[1:]


@pytest.fixture
def line(shared: Service) -> Iterator[Parameters]:
    with Parameters(shared) as found:
        yield found


def test_engine_follows_no_link(line: Parameters, folder: Path, tmp_path: Path) -> None:
    """Apps may write into the folder, and the service runs as root."""
    secret = tmp_path / "secret"
    secret.write_text('Interval="secret"\n', "utf-8")
    (folder / "lamp").unlink()
    (folder / "lamp").symlink_to(secret)
    (folder / ".new").symlink_to(secret)
    assert line.call(GET, text("Interval"))[0] == 10
    assert line.call(ADD, text("Mine", "1", "string"))[0] == 0
    assert secret.read_text("utf-8") == 'Interval="secret"\n'
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(secret)
    mode = secret.stat().st_mode
    assert line.call(ADD, text("More", "1", "string"))[0] == 7
    assert secret.stat().st_mode == mode
    os.mkfifo(folder / "pipe")
    assert line.call(GET, text("root.pipe.Interval"))[0] == 10


def test_long_lists_come_in_parts_and_long_values_are_refused(line: Parameters, folder: Path) -> None:
    names = [f"Parameter{number:04}" for number in range(4000)]
    (folder / "lamp").write_text("".join(f'{name}="1" type="string"\n' for name in names), "utf-8")
    found: list[str] = []
    for _ in range(9):
        code, data, _ = line.call(LIST, struct.pack("=I", len(found)))
        assert code == 0
        found += data[4:].decode().split("\0")[:-1]
        if not struct.unpack_from("=I", data)[0]:
            break
    assert found == names
    (folder / "lamp").write_text(f'Long="{"x" * 40000}"\n', "utf-8")
    assert line.call(GET, text("Long"))[0] == 10


def test_app_that_reads_nothing_gets_the_last_value(line: Parameters, folder: Path) -> None:
    _, _, [fd] = line.call(CHANGES)
    with socket.socket(fileno=fd) as changes:
        changes.settimeout(30)
        assert line.call(WATCH, struct.pack("=I", 1) + text("Name") + struct.pack("=I", 0) + text(""))[0] == 0
        for number in range(40):  # each with 20 kB: they do not all fit
            assert line.call(STAGE, text("Name", f"{number:02}" * 10000))[0] == 0
            assert line.call(SYNC, struct.pack("=I", 1))[0] == 0
        # The engine answers while it cannot tell.
        assert line.call(GET, text("Interval"))[0] == 0
        # Some of the values before were not told at all.
        wait_until(lambda: b"39" * 10000 in changes.recv(40000), "the last value came")


def test_random_messages_do_not_end_the_service(shared: Service) -> None:
    source = random.Random(SEED)

    def number() -> bytes:
        return struct.pack("=I", source.choice((0, 1, 2, 5, 2**31, 2**32 - 1)))

    def word() -> bytes:
        known = (
            b"Interval",
            b"root.lamp.Name",
            b"root.",
            b"Brand.Brand",
            b"..",
            b"../lamp",
            b"root.../x.y",
            b"",
            b"%",
            b"\n",
        )
        long = bytes([source.randrange(1, 256)]) * source.choice((127, 128, 511, 512, 1500, 30000))
        return source.choice((*known, *known, long, source.randbytes(source.randrange(20)))) + source.choice(
            (b"\0", b"\0", b"")
        )

    for turn in range(ROUNDS):
        with Parameters(shared, source.choice(("lamp", "lamp", ""))) as line:
            kept: list[int] = []
            for _ in range(source.randrange(1, 20)):
                kind = source.randrange(14, 30)
                data = b"".join(source.choice((number, word))() for _ in range(source.randrange(5)))
                if kind == WATCH and source.random() < 0.7:
                    data = number() + word() + number() + word()
                line.send(kind, source.randrange(-2, 3), data[:32768], [0] * source.choice((0, 0, 0, 1)))
                if not select.select([line.socket], [], [], 30)[0]:
                    raise AssertionError(f"round {turn}: no answer to {kind}")
                answer = line.receive()
                if answer is None:
                    break
                kept += answer[3]
            for fd in kept:
                os.close(fd)
    with Parameters(shared) as line:
        assert line.call(GET, text("Nothing"))[0] == 10
