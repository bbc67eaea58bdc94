"""Events of the app and of the camera, over the stand-in of the camera's library and on a desk."""

from __future__ import annotations

import asyncio
import ctypes
import datetime
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.acap_video.conftest import NEWEST, PACKAGE, STAND_INS, built_module, fresh_settings, video

import acap

__all__ = ["built_module", "fresh_settings", "video"]

LONG = 60.0
ANY: Any = [1]
OWN = "tnsaxis:CameraApplicationPlatform/door"
only_camera = pytest.mark.parametrize("events", ["camera"], indirect=True)


@pytest.fixture(scope="session")
def camera_folder(tmp_path_factory: pytest.TempPathFactory, built_module: Path, video: None) -> Path:
    """The folder of the camera's events: a process has one handler, which keeps its folder."""
    folder = tmp_path_factory.mktemp("camera-events")
    os.environ["INCAMERA_EVENTS"] = str(folder)
    ctypes.CDLL(str(STAND_INS / NEWEST / "libaxevent.so.1"))
    return folder


@pytest.fixture(params=["camera", "desk"])
def events(
    request: pytest.FixtureRequest, camera_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    from acap.app import app_name

    monkeypatch.setenv("ACAP_APP_NAME", "door")
    app_name.cache_clear()
    if request.param == "desk":
        monkeypatch.setenv("ACAP_EVENTS", str(tmp_path / "events.txt"))
        return tmp_path
    monkeypatch.delenv("ACAP_EVENTS", raising=False)
    return camera_folder


def told(subscription: acap.events.Subscription, count: int) -> list[dict[str, Any]]:
    """Return the data of the next *count* events."""
    found = [next(subscription).data for _ in range(count)]
    subscription.timeout = 0.05
    assert list(subscription) == []
    return found


def test_state_comes_at_once_and_with_each_change(events: Path) -> None:
    with acap.events.State("Door", open=False, angle=0.0, name_of="front") as door:
        subscription = acap.events.subscribe(f"{OWN}/Door", "open", "angle", "name_of", timeout=LONG)
        assert door.topic == f"{OWN}/Door"
        first = next(subscription)
        assert first.topic == door.topic
        assert first.data == {"open": False, "angle": 0.0, "name_of": "front"}
        assert abs((datetime.datetime.now(datetime.UTC) - first.time).total_seconds()) < LONG
        door.open = True
        door.open = True  # nothing changes, and nothing is sent
        door.set(open=False, angle=2)
        assert (door.open, door.angle, door.values) == (False, 2.0, {"open": False, "angle": 2.0, "name_of": "front"})
        changes = told(subscription, 2)
        assert changes == [
            {"open": True, "angle": 0.0, "name_of": "front"},
            {"open": False, "angle": 2.0, "name_of": "front"},
        ]
        subscription.close()
        later = acap.events.subscribe(f"{OWN}/Door", "open", timeout=LONG)
        assert told(later, 1) == [{"open": False}]


def test_state_that_is_closed_is_no_longer_there(events: Path) -> None:
    door = acap.events.State("Gone", open=False)
    door.close()
    door.close()
    assert list(acap.events.subscribe(f"{OWN}/Gone", "open", timeout=0.05)) == []
    with pytest.raises(ValueError, match="the event Gone was closed") as caught:
        door.open = True
    assert isinstance(caught.value, acap.EventClosed)


def test_subscription_waits_for_what_is_declared_later(events: Path) -> None:
    subscription = acap.events.subscribe(f"{OWN}/Later", "on", timeout=LONG)
    with acap.events.State("Later", on=True):
        assert told(subscription, 1) == [{"on": True}]


def test_pulse_comes_only_when_it_is_sent(events: Path) -> None:
    knock = acap.events.Pulse("Knock", strength=int, who=str, source={"door": 2})
    knock.send(strength=1, who="nobody")
    subscription = acap.events.subscribe(f"{OWN}/Knock", "strength", "who", "door", "missing", timeout=LONG)
    knock.send(strength=3, who="Jürgen; 100 %\n")
    assert told(subscription, 1) == [{"strength": 3, "who": "Jürgen; 100 %\n", "door": 2}]


def test_pulse_takes_its_keys_from_the_first_event(events: Path) -> None:
    subscription = acap.events.subscribe(OWN, "strength", timeout=LONG)
    with acap.events.Pulse("First") as pulse:
        pulse.send(strength=np.float32(0.5))
        pulse.send(strength=2)
        assert told(subscription, 2) == [{"strength": 0.5}, {"strength": 2.0}]
        with pytest.raises(KeyError, match="has no key 'other': it has strength"):
            pulse.send(strength=1, other=2)
    with pytest.raises(acap.EventClosed):
        pulse.send(strength=1.0)


def test_only_events_that_match_come(events: Path) -> None:
    one = acap.events.Pulse("Match", level=int, source={"door": 1})
    two = acap.events.Pulse("Match", level=int, source={"door": 2})
    subscription = acap.events.subscribe(f"{OWN}/Match", "level", door=2, timeout=LONG)
    as_text = acap.events.subscribe(f"{OWN}/Match", door="2")
    one.send(level=1)
    two.send(level=2)
    assert told(subscription, 1) == [{"level": 2, "door": 2}]
    assert as_text.take() == []


def test_whole_topic_can_be_given(events: Path) -> None:
    with acap.events.State("tns1:Device/tnsaxis:IO/Port", state=False, source={"port": 1}) as port:
        subscription = acap.events.subscribe("tns1:Device/tnsaxis:IO", "state", port=1, timeout=LONG)
        event = next(subscription)
        assert event.topic == port.topic == "tns1:Device/tnsaxis:IO/Port"
        assert event.data == {"port": 1, "state": False}


@pytest.mark.parametrize(
    ("keys", "wrong", "message"),
    [
        ({"open": False}, {"open": 1}, "takes bool, not int"),
        ({"level": 1}, {"level": True}, "takes int, not bool"),
        ({"level": 1}, {"level": 1.5}, "takes int, not float"),
        ({"level": 1.0}, {"level": "1"}, "takes float, not str"),
        ({"text": ""}, {"text": 1}, "takes str, not int"),
    ],
)
def test_value_of_another_type_is_refused(
    events: Path, keys: dict[str, Any], wrong: dict[str, Any], message: str
) -> None:
    with acap.events.State("Typed", **keys) as state, pytest.raises(TypeError, match=message) as caught:
        state.set(**wrong)
    assert isinstance(caught.value, acap.WrongEventType)


def test_values_of_numpy_are_taken(events: Path) -> None:
    with acap.events.State("Arrays", moving=np.bool_(False), level=np.int64(1)) as state:
        state.moving = np.float64(0.2) > 0.1
        assert state.values["moving"] is True
        assert type(state.level) is int


def test_missing_and_unknown_keys_are_refused(events: Path) -> None:
    pulse = acap.events.Pulse("Keys", one=int, two=int)
    with pytest.raises(KeyError) as caught:
        pulse.send(one=1)
    assert str(caught.value) == "the event Keys is sent without its key two"
    assert isinstance(caught.value, acap.MissingEventKey)
    with acap.events.State("Known", open=False) as state:
        with pytest.raises(acap.NoSuchEventKey, match="has no key 'close_'"):
            state.close_ = True
        with pytest.raises(AttributeError):
            state.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: acap.events.State("Empty"), "has no value"),
        (lambda: acap.events.State("A/B", open=False), "is no name of an event"),
        (lambda: acap.events.State("tns2:A", open=False), "'tns2' is no name space"),
        (lambda: acap.events.State("tns1:A//B", open=False), "'' is no part of one"),
        (lambda: acap.events.State("Large", number=2**31), "an int has 32 bits"),
        (lambda: acap.events.State("Zero", text="\0"), "has a zero byte"),
        (lambda: acap.events.State("List", items=ANY), "with a value of list"),
        (lambda: acap.events.State("Both", door=1, source={"door": 1}), "door is a source"),
        (lambda: acap.events.State("Clash", close=True), "cannot have the key close"),
        (lambda: acap.events.Pulse("List", items=type(ANY)), "cannot have a key items"),
        (lambda: acap.events.subscribe("tnsaxis:"), "is no topic"),
    ],
)
def test_event_that_cannot_be_is_refused(events: Path, make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert isinstance(caught.value, acap.BadEvent)


def test_handlers_run_in_the_thread_that_waits(events: Path) -> None:
    seen: list[Any] = []

    @acap.events.on(f"{OWN}/Handled", "level")
    def handle(event: acap.events.Event) -> None:
        seen.append((threading.get_ident(), event.data["level"]))
        if event.data["level"] == 2:
            raise RuntimeError("seen")

    with acap.events.State("Handled", level=1) as state:
        state.level = 2
        with pytest.raises(RuntimeError, match="seen"):
            acap.wait(LONG)
        assert seen == [(threading.get_ident(), 1), (threading.get_ident(), 2)]
        acap.handlers.remove_handler(handle)
        state.level = 3
        acap.wait(0.05)
        assert len(seen) == 2


def test_handlers_and_loops_run_in_the_event_loop(events: Path) -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        handled: list[Any] = []

        @acap.events.on(f"{OWN}/Async", "level")
        async def handle(event: acap.events.Event) -> None:
            await asyncio.sleep(0)
            handled.append(event.data["level"])

        looped = []
        with acap.events.State("Async", level=0) as state:
            async for event in acap.events.subscribe(f"{OWN}/Async", "level", timeout=LONG):
                looped.append(event.data["level"])
                if len(looped) == 3:
                    break
                state.level += 1
            while len(handled) < 3:
                await asyncio.sleep(0.01)
        acap.handlers.remove_handler(handle)
        return looped, handled

    assert asyncio.run(main()) == ([0, 1, 2], [0, 1, 2])


@pytest.mark.starts_processes
def test_events_of_another_app_come(camera_folder: Path, monkeypatch: pytest.MonkeyPatch, built_module: Path) -> None:
    """Two programs share the camera's events. The state of one that has ended is no longer there."""
    monkeypatch.delenv("ACAP_EVENTS", raising=False)
    code = (
        f"import ctypes, sys; ctypes.CDLL({str(STAND_INS / NEWEST / 'libaxevent.so.1')!r})\n"
        f"import acap; acap.__path__.append({str(built_module)!r})\n"
        "state = acap.events.State('Other', level=1)\n"
        "input(); state.level = 2; input()\n"
        "import os; os._exit(0)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE / "src"), "ACAP_APP_NAME": "other"}
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdin
        topic = "tnsaxis:CameraApplicationPlatform/other/Other"
        subscription = acap.events.subscribe(topic, "level", timeout=LONG)
        assert next(subscription).data == {"level": 1}
        process.stdin.write("\n")
        process.stdin.flush()
        assert next(subscription).data == {"level": 2}
        assert [event.data for event in acap.events.subscribe(topic, "level", timeout=0.5)] == [{"level": 2}]
        process.stdin.write("\n")
    assert list(acap.events.subscribe(topic, "level", timeout=0.05)) == []


@only_camera
def test_log_that_was_begun_anew_loses_nothing(events: Path) -> None:
    pulse = acap.events.Pulse("Long", number=int, text=str)
    subscription = acap.events.subscribe(f"{OWN}/Long", "number", timeout=LONG)
    for number in range(60):  # 600 kB: the log is begun anew after 256 kB
        pulse.send(number=number, text="x" * 10_000)
    assert [event["number"] for event in told(subscription, 60)] == list(range(60))
    assert (events / "log").stat().st_size < 400_000


@only_camera
def test_forgotten_events_leave_no_descriptor(events: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    acap.events.State("Warm", open=False).close()
    next(acap.events.subscribe(timeout=0.01), None)
    gc.collect()
    before = descriptors()
    for number in range(20):
        state = acap.events.State("Forgotten", number=number)
        subscription = acap.events.subscribe(f"{OWN}/Forgotten", timeout=LONG)
        next(subscription)
        del state, subscription
    gc.collect()
    assert descriptors() == before


@only_camera
def test_events_are_refused_after_a_fork(events: Path) -> None:
    with acap.events.State("Forked", open=False) as state:
        pid = os.fork()
        if pid == 0:
            refused = 0
            for use in (lambda: state.set(open=True), acap.events.subscribe):
                try:
                    use()
                except RuntimeError:
                    refused += 1
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


@only_camera
def test_error_of_the_library_names_its_code(events: Path) -> None:
    with acap.events.Pulse("Refused", level=int) as pulse, pytest.raises(acap.WrongEventType) as caught:
        pulse._declaration.send([(b"level", None, 3, b"text", "", None, None)])
    assert (caught.value.code, caught.value.domain) == (2, "axevent")


@pytest.mark.parametrize("events", ["desk"], indirect=True)
def test_desk_writes_events_that_are_sent(events: Path) -> None:
    with acap.events.State("Printed", open=False, text="") as state:
        state.set(open=True, text="ä b")
    assert (events / "events.txt").read_text("utf-8") == f'event: {OWN}/Printed open=true text="ä b"\n'


@only_camera
def test_events_of_the_command_line_come(events: Path) -> None:
    from incamera.virtual.services import parse_event, render_event

    subscription = acap.events.subscribe("tns1:Device/tnsaxis:IO/Port", "text", port=3, timeout=LONG)
    data: dict[str, Any] = {"port": 3, "text": "Jürgen; 100 %\n"}
    with (events / "log").open("a", encoding="utf-8") as log:
        log.write(render_event("tns1:Device/tnsaxis:IO/Port", data, time=1.5, is_state=False))
    event = next(subscription)
    assert (event.data, event.time.timestamp(), event.topic) == (data, 1.5, "tns1:Device/tnsaxis:IO/Port")
    with acap.events.State("Shown", text=data["text"], level=0.1):
        lines = [path.read_text("utf-8") for path in (events / "declared").iterdir()]
        shown = [found for found in map(parse_event, lines) if found and found.topic == f"{OWN}/Shown"]
        assert [found.data for found in shown] == [{"text": data["text"], "level": 0.1}]
