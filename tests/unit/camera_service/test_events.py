"""The engine of events in the camera's service: what apps see of one another, and of a service that is killed."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.acap_video.conftest import built_module
from tests.waiting import wait_until

from incamera.virtual.services import parse_event, render_event

from .lines import Line
from .programs import ASK, Program, ticks, used

if TYPE_CHECKING:
    from .conftest import Service

__all__ = ["built_module"]
pytestmark = pytest.mark.starts_processes

LISTEN, DECLARE, UNDECLARE, SEND, SUBSCRIBE, UNSUBSCRIBE, CAME = range(16, 23)
SEED, ROUNDS = 20261203, 300
TOPIC = "tnsaxis:CameraApplicationPlatform/lamp"
SERVE = f"""
@acap.events.on({TOPIC!r}, "level", "open")
def came(event):
    tell("came", event.topic.rpartition("/")[2], event.data)
@acap.events.on("tns1:Device/tnsaxis:IO/Port", "state")
def port(event):
    tell("port", event.data)
tell("ready")
acap.wait()
"""
SEND_THEM = (
    """
door = acap.events.State("Door", open=False)
knock = acap.events.Pulse("Knock", level=int)
tell("ready")
"""
    + ASK
)


def app(module: Path, code: str) -> Program:
    return Program(module, "libaxevent.so.1", code)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service's folder of events. The apps know their line only."""
    path = tmp_path / "events"
    path.mkdir()
    monkeypatch.setenv("INCAMERA_EVENTS", str(path))
    return path


@pytest.fixture
def shared(folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("INCAMERA_CAMERA_SERVICE", str(service.path))
    monkeypatch.delenv("INCAMERA_EVENTS")
    service.environment = {"INCAMERA_EVENTS": str(folder)}
    return service


def declared(folder: Path) -> list[tuple[str, Any]]:
    lines = [path.read_text("utf-8") for path in (folder / "declared").iterdir()]
    return sorted((event.topic.rpartition("/")[2], dict(event.data)) for event in map(parse_event, lines) if event)


def next_of(program: Program, kind: str) -> Any:
    """Return what the program tells next of this kind: states may come again."""
    while True:
        told = program.told()
        assert told is not None
        if told[0] == kind:
            return told


def test_apps_see_one_another_and_the_host(shared: Service, built_module: Path, folder: Path) -> None:
    with app(built_module, SERVE) as one, app(built_module, SEND_THEM) as other:
        assert one.told() == ["ready"]
        assert other.told() == ["ready"]
        assert one.told() == ["came", "Door", {"open": False}]
        assert other.say("door.set(open=True)") == [None]
        assert one.told() == ["came", "Door", {"open": True}]
        assert other.say("knock.send(level=3)") == [None]
        assert one.told() == ["came", "Knock", {"level": 3}]
        with (folder / "log").open("a", encoding="utf-8") as log:
            log.write(render_event("tns1:Device/tnsaxis:IO/Port", {"state": True}, time=1.5, is_state=False))
        assert one.told() == ["port", {"state": True}]
        assert declared(folder) == [("Door", {"open": True}), ("Knock", {"level": None})]
        assert {path.name.partition(".")[0] for path in (folder / "declared").iterdir()} == {str(other.process.pid)}
        other.process.kill()
        wait_until(lambda: declared(folder) == [], "the declarations have ended")


def test_killed_service_is_told_and_all_comes_back_by_itself(shared: Service, built_module: Path, folder: Path) -> None:
    with app(built_module, SERVE) as one, app(built_module, SEND_THEM) as other:
        assert one.told() == ["ready"]
        assert other.told() == ["ready"]
        assert other.say("door.set(open=True)") == [None]
        while next_of(one, "came")[2] != {"open": True}:
            pass
        for level in (1, 2):
            shared.kill()
            assert other.say("door.set(open=False)") == ["EventsDown", True, 0]
            assert other.say("knock.send(level=7)") == ["EventsDown", True, 0]
            assert other.say("acap.events.State('New', open=True)") == ["EventsDown", True, 0]
            assert other.say("acap.events.subscribe()") == ["EventsDown", True, 0]
            shared.start()
            # The value of the state is the last one that was sent.
            wait_until(lambda: ("Door", {"open": True}) in declared(folder), "the event is declared again")
            wait_until(lambda: len(declared(folder)) == 2, "nothing is left of the time before")
            assert next_of(one, "came") == ["came", "Door", {"open": True}]  # states come anew
            assert other.say(f"knock.send(level={level})") == [None]
            while (told := next_of(one, "came"))[1] != "Knock":
                assert told == ["came", "Door", {"open": told[2]["open"]}]
            assert told == ["came", "Knock", {"level": level}]
        assert other.say("door.set(open=False)") == [None]
        while next_of(one, "came")[2] != {"open": False}:
            pass


def test_closed_while_the_service_is_gone_does_not_come_back(shared: Service, built_module: Path, folder: Path) -> None:
    with app(built_module, SEND_THEM) as one:
        assert one.told() == ["ready"]
        shared.kill()
        assert one.say("knock.close()") == [None]
        shared.start()
        wait_until(lambda: declared(folder) == [("Door", {"open": False})], "the other one is declared again")


def test_waiting_app_and_service_use_no_processor_time(shared: Service, built_module: Path) -> None:
    with app(built_module, SERVE) as one:
        assert one.told() == ["ready"]
        before = ticks(shared.process.pid), ticks(one.process.pid)
        time.sleep(0.5)
        assert ticks(shared.process.pid) - before[0] <= 1
        assert ticks(one.process.pid) - before[1] <= 1
        shared.kill()
        without = ticks(one.process.pid)
        time.sleep(1)
        assert ticks(one.process.pid) - without <= 3


def test_killed_app_leaves_nothing(shared: Service, built_module: Path) -> None:
    before = used(shared.process.pid)
    with app(built_module, SEND_THEM + SERVE) as one:
        assert one.told() == ["ready"]
        assert used(shared.process.pid) > before
    wait_until(
        lambda: all(now <= then for now, then in zip(used(shared.process.pid), before, strict=True)),
        lambda: f"{used(shared.process.pid)} is {before}",
    )


# Lines of hand


def number(value: int) -> bytes:
    return struct.pack("=I", value & 0xFFFFFFFF)


def text(word: str) -> bytes:
    return word.encode() + b"\0"


def keys(name: str, value: str = "1") -> str:
    return f"\ttopic0;tnsaxis;s;;{name};~;~\tlevel;~;i;d;{value};~;~"


class Events(Line):
    def __init__(self, service: Service) -> None:
        super().__init__(service.path)
        assert self.hello("axevent")

    def call(self, kind: int, data: bytes = b"") -> tuple[int, bytes, list[int]]:
        self.send(kind, 0, data)
        answer = self.receive()
        assert answer is not None
        return answer[1:]

    def listen(self) -> socket.socket:
        _, _, [fd] = self.call(LISTEN)
        found = socket.socket(fileno=fd)
        found.settimeout(30)
        return found


@pytest.fixture
def line(shared: Service) -> Iterator[Events]:
    with Events(shared) as found:
        yield found


def test_engine_follows_no_link(line: Events, folder: Path, tmp_path: Path) -> None:
    """Apps may write into the folder, and the service runs as root."""
    secret = tmp_path / "secret"
    secret.write_text("1\tcamera-1\tstate" + keys("Secret"), "utf-8")
    before = secret.read_text("utf-8"), secret.stat().st_mode
    (folder / "declared").mkdir()
    (folder / "declared/camera-1").symlink_to(secret)
    os.mkfifo(folder / "declared/camera-2")
    (folder / "log").symlink_to(secret)
    with line.listen() as came:
        assert line.call(SUBSCRIBE, number(1) + text(""))[0] == 0
        assert line.call(DECLARE, number(1) + number(0) + bytes(8) + text(keys("Mine")))[0] == 1
        assert not select.select([came], [], [], 0.2)[0]
    (folder / "log").unlink()
    (folder / "declared").rename(folder / "moved")
    (folder / "declared").symlink_to(tmp_path)
    assert line.call(DECLARE, number(2) + number(0) + bytes(8) + text(keys("Mine")))[0] == 1
    (folder / "declared").unlink()
    assert line.call(DECLARE, number(3) + number(0) + bytes(8) + text(keys("Mine")))[0] == 0
    assert (secret.read_text("utf-8"), secret.stat().st_mode) == before


def test_app_that_reads_late_gets_each_event_once(line: Events, shared: Service) -> None:
    """Also those of logs that were begun anew meanwhile."""
    count = 60
    with line.listen() as came, Events(shared) as other:
        assert line.call(SUBSCRIBE, number(1) + text("\ttopic0;tnsaxis;s;;Long;~;~"))[0] == 0
        assert other.call(DECLARE, number(1) + number(1) + bytes(8) + text(keys("Long")))[0] == 0
        for n in range(count):  # each with 20 kB: they do not all fit into the socket
            assert (
                other.call(
                    SEND, number(1) + bytes(8) + text(keys("Long", str(n)) + "\tx;~;s;;" + "x" * 20000 + ";~;~")
                )[0]
                == 0
            )
        for n in range(count):
            assert f"level;~;i;d;{n};" in came.recv(40000).decode()
        assert not select.select([came], [], [], 0.1)[0]


def test_an_event_is_one_line(line: Events) -> None:
    for wrong in ("\tx\n2\tcamera\tstate", "x", keys("Long", "1" * 40000)[:32700]):
        assert line.call(DECLARE, number(1) + number(0) + bytes(8) + text(wrong))[0] == 1
    assert line.call(DECLARE, number(1) + number(0) + b"\xff" * 8 + text(keys("Time")))[0] == 1


def test_random_messages_do_not_end_the_service(shared: Service, folder: Path) -> None:
    source = random.Random(SEED)

    def a_number() -> bytes:
        return number(source.choice((0, 1, 1, 2, 2**31, 2**32 - 1)))

    def a_text() -> bytes:
        known = (keys("A"), keys("B", "2"), "\ttopic0;tnsaxis;s;;~;~;~", "\t;;;;;;", "\t%;~;d;;%zz;~;~", "\n", "~", "")
        pairs = "".join(source.choice(known) for _ in range(source.randrange(4))).encode()
        noise = source.choice((b"", b"", source.randbytes(source.randrange(30)), b"\tk" * 8000, b"x" * 31000))
        return pairs + noise + source.choice((b"\0", b"\0", b"\0", b""))

    for turn in range(ROUNDS):
        with (folder / "log").open("ab") as log:
            log.write(source.choice((b"", b"\0\n", b"next\t5\n", b"x" * 40000 + b"\n", source.randbytes(50) + b"\n")))
        with Events(shared) as line:
            kept: list[int] = []
            for _ in range(source.randrange(1, 20)):
                kind = source.randrange(15, 24)
                data = {
                    DECLARE: lambda: a_number() + a_number() + bytes(8) + a_text(),
                    SEND: lambda: a_number() + bytes(8) + a_text(),
                    SUBSCRIBE: lambda: a_number() + a_text(),
                }.get(kind, lambda: b"".join(source.choice((a_number, a_text))() for _ in range(3)))()
                line.send(kind, source.randrange(-2, 3), data[:32768], [0] * source.choice((0, 0, 0, 1)))
                if not select.select([line.socket], [], [], 30)[0]:
                    raise AssertionError(f"round {turn}: no answer to {kind}")
                answer = line.receive()
                if answer is None:
                    break
                kept += answer[3]
            for fd in kept:
                os.close(fd)
    with Events(shared) as line, line.listen() as came:
        assert line.call(SUBSCRIBE, number(9) + text(""))[0] == 0
        assert line.call(DECLARE, number(9) + number(0) + bytes(8) + text(keys("Good")))[0] == 0
        wait_until(lambda: b";Good;" in came.recv(40000), "the event came")
