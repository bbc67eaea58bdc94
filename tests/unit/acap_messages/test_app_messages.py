"""Messages over the stand-ins of the Data Hub and of the message broker, and on a desk."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.acap_video.conftest import NEWEST, PACKAGE, STAND_INS, built_module, fresh_settings, video
from tests.waiting import wait_until

import acap

__all__ = ["built_module", "fresh_settings", "video"]

LONG = 60.0
HUB, BROKER = "libdevice-data-hub-client-c.so.1", "libmdb.so.0"
SCENE = "mdb.com.axis.analytics_scene_description.v0.beta"
only_hub = pytest.mark.parametrize("camera", ["data-hub"], indirect=True)
writable = pytest.mark.parametrize("camera", ["data-hub", "desk"], indirect=True)
in_cameras = pytest.mark.parametrize("camera", ["data-hub", "broker"], indirect=True)
only_broker = pytest.mark.parametrize("camera", ["broker"], indirect=True)


@pytest.fixture(scope="session")
def camera_folder(tmp_path_factory: pytest.TempPathFactory, built_module: Path, video: None) -> Path:
    """The folder of the camera's messages: a process has one connection, which keeps its folder."""
    folder = tmp_path_factory.mktemp("camera-messages")
    os.environ["INCAMERA_MESSAGES"] = str(folder)
    for library in (HUB, BROKER):
        ctypes.CDLL(str(STAND_INS / NEWEST / library))
    return folder


@pytest.fixture(params=["data-hub", "broker", "desk"])
def camera(
    request: pytest.FixtureRequest, camera_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Sends a message to the app, as another part of the camera does."""
    from acap import _datahub
    from acap.app import app_name

    monkeypatch.setenv("ACAP_APP_NAME", "counter")
    app_name.cache_clear()
    monkeypatch.delenv("ACAP_MESSAGES", raising=False)
    if request.param == "desk":
        path = tmp_path / "messages.txt"
        path.touch()
        monkeypatch.setenv("ACAP_MESSAGES", str(path))

        def add(topic: str, data: object) -> None:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"topic": topic, "data": data}) + "\n")

        return add
    if request.param == "broker":

        def missing(name: bytes) -> None:
            raise acap.LibraryMissing("no Data Hub")

        monkeypatch.setattr(_datahub, "open_library", missing)

    def write(topic: str, data: object) -> None:
        with (camera_folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"{topic}\t1\t{time.time_ns() // 1000}\t{json.dumps(data)}\n")

    return write


def test_messages_come_as_dicts(camera: Callable[..., None]) -> None:
    with acap.messages.subscribe("com.example.all.v1", "com.example.other.v1", timeout=LONG) as subscription:
        camera("com.example.all.v1", {"text": 'Jürgen\n\t"%', "list": [1, {"a": None}]})
        camera("com.example.never.v1", {})
        camera("com.example.other.v1", {"number": 1.5})
        first, second = next(subscription), next(subscription)
        assert (first.topic, first.data) == ("com.example.all.v1", {"text": 'Jürgen\n\t"%', "list": [1, {"a": None}]})
        assert (second.topic, second.data, second.historical) == ("com.example.other.v1", {"number": 1.5}, False)
        assert abs(first.time.timestamp() - time.time()) < LONG
        assert (first.stamp is not None) == (acap.messages.service() == "broker")
        subscription.timeout = 0.05
        assert list(subscription) == []


def test_topic_of_the_broker_has_one_name_in_all_cameras(camera: Callable[..., None]) -> None:
    if acap.messages.service() == "desk":
        camera(SCENE, {"frame": {"observations": [{"bounding_box": {"left": 0.5}}]}})
    with acap.messages.subscribe(SCENE, timeout=LONG) as subscription:
        [seen] = next(subscription).data["frame"]["observations"]
        assert 0 <= seen["bounding_box"]["left"] < 1


@writable
def test_app_writes_topics_of_its_own(camera: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    with acap.messages.Topic("people", {"type": "object"}) as people:
        assert people.name == "acap.counter.people"
        assert "acap.counter.people" in acap.messages.topics()
        people.announce()
        assert not people.has_readers
        with acap.messages.subscribe(people.name, timeout=LONG) as subscription:
            wait_until(lambda: people.has_readers, "the reader is known")
            people.write({"count": 3})
            people.write({"count": 4}, instance={"channel_id": 1})
            assert [next(subscription).data for _ in range(2)] == [{"count": 3}, {"count": 4}]
        wait_until(lambda: not people.has_readers, "the reader is gone")
    assert "acap.counter.people" not in acap.messages.topics()
    if acap.messages.service() == "desk":
        assert capsys.readouterr().err == (
            'message: acap.counter.people {"count": 3}\nmessage: acap.counter.people {"count": 4}\n'
        )
    with pytest.raises(ValueError, match=r"acap\.counter\.people was closed") as caught:
        people.write({})
    assert isinstance(caught.value, acap.MessagesClosed)


@only_hub
def test_topic_stays_when_it_is_kept(camera: Callable[..., None]) -> None:
    acap.messages.Topic("com.example.kept", keep=True).close()
    assert "com.example.kept" in acap.messages.topics()
    acap.messages.Topic("com.example.kept").close()  # it was there, and is not deleted
    assert "com.example.kept" in acap.messages.topics()
    acap.messages.Topic("com.example.kept", {"type": "object"}).close()
    assert "com.example.kept" not in acap.messages.topics()


@only_hub
def test_history_has_what_came_before(camera: Callable[..., None]) -> None:
    with acap.messages.Topic("past") as past:
        past.write({"number": 1})
        with acap.messages.subscribe(past.name, history=True, timeout=LONG) as subscription:
            past.write({"number": 2})
            assert [next(subscription)[1::3] for _ in range(2)] == [({"number": 1}, True), ({"number": 2}, False)]


@only_broker
def test_broker_can_only_be_read(camera: Callable[..., None]) -> None:
    for use in (acap.messages.topics, lambda: acap.messages.Topic("people")):
        with pytest.raises(NotImplementedError, match=r"AXIS OS 12\.11 has the Data Hub") as caught:
            use()
        assert isinstance(caught.value, acap.NotSupported)


@only_hub
def test_topic_of_the_camera_is_not_the_apps(camera: Callable[..., None]) -> None:
    with pytest.raises(PermissionError, match="accessControlList") as caught:
        acap.messages.Topic("com.axis.scene.frame.v1", {"type": "object"})
    assert isinstance(caught.value, acap.MessageDenied)
    assert (caught.value.code, caught.value.domain) == (11, "datahub")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (acap.messages.subscribe, "needs a topic"),
        (lambda: acap.messages.subscribe("../x"), "is no name of a topic"),
        (lambda: acap.messages.subscribe("a.b", most=0), "at least one message"),
        (lambda: acap.messages.Topic("with space"), "is no name of a topic"),
        (lambda: acap.messages.Topic("wrong", {"set": {1}}), "cannot have these data"),
        (lambda: acap.messages.Topic("nan").write({"a": float("nan")}), "cannot have these data"),
        (lambda: acap.messages.set_logging("loud"), "no level of logging"),  # type: ignore[arg-type]
    ],
)
@writable
def test_what_no_message_can_be_is_refused(
    camera: Callable[..., None], make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert isinstance(caught.value, acap.BadMessage)


@only_hub
def test_data_that_are_too_big_are_refused(camera: Callable[..., None]) -> None:
    acap.messages.set_logging("warning")
    with acap.messages.Topic("big") as big:
        with pytest.raises(acap.BadMessage, match="more than a megabyte"):
            big.write({"text": "x" * 2_000_000})
        big.write({"text": "x" * 200_000})


def test_slow_app_loses_the_oldest_messages(camera: Callable[..., None]) -> None:
    with acap.messages.subscribe("com.example.fast", most=2, timeout=LONG) as subscription:
        for number in range(5):
            camera("com.example.fast", number)
        wait_until(lambda: subscription.dropped == 3, "three are lost")
        assert [message.data for message in subscription.take()] == [3, 4]


@only_hub
def test_log_that_was_begun_anew_loses_nothing(camera: Callable[..., None], camera_folder: Path) -> None:
    with acap.messages.Topic("long") as topic, acap.messages.subscribe(topic.name, timeout=LONG) as subscription:
        for number in range(60):  # 3 MB: the log is begun anew after 1 MB
            topic.write({"number": number, "text": "x" * 50_000})
        assert [next(subscription).data["number"] for _ in range(60)] == list(range(60))
    assert (camera_folder / "log").stat().st_size < 1_200_000


def test_handlers_run_in_the_thread_that_waits(camera: Callable[..., None]) -> None:
    seen: list[Any] = []

    @acap.messages.on("com.example.handled")
    def handle(message: acap.messages.Message) -> None:
        seen.append((threading.get_ident(), message.data))
        raise RuntimeError("seen")

    camera("com.example.handled", 1)
    with pytest.raises(RuntimeError, match="seen"):
        acap.wait(LONG)
    acap.handlers.remove_handler(handle)
    assert seen == [(threading.get_ident(), 1)]


def test_loops_run_in_the_event_loop(camera: Callable[..., None]) -> None:
    async def main() -> list[Any]:
        found = []
        with acap.messages.subscribe("com.example.async", timeout=LONG) as subscription:
            camera("com.example.async", 0)
            async for message in subscription:
                found.append(message.data)
                if len(found) == 3:
                    break
                camera("com.example.async", len(found))
        with acap.messages.subscribe("com.example.async.none", timeout=0.05) as subscription:
            assert [message async for message in subscription] == []
        return found

    assert asyncio.run(main()) == [0, 1, 2]


@pytest.mark.parametrize("camera", ["data-hub", "broker"], indirect=True)
def test_forgotten_subscriptions_leave_no_descriptor(camera: Callable[..., None]) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    acap.messages.subscribe("com.example.warm").close()
    gc.collect()
    before = descriptors()
    for _ in range(20):
        subscription = acap.messages.subscribe("com.example.forgotten")
        camera("com.example.forgotten", {})
        del subscription
    gc.collect()
    # A thread of an earlier test may have ended meanwhile.
    assert descriptors() <= before


@pytest.mark.parametrize("camera", ["data-hub", "broker"], indirect=True)
def test_messages_are_refused_after_a_fork(camera: Callable[..., None]) -> None:
    with acap.messages.subscribe("com.example.forked"):
        pid = os.fork()
        if pid == 0:
            try:
                acap.messages.subscribe("com.example.forked")
            except RuntimeError:
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


PROGRAM = """
import ctypes, sys
for library in {libraries!r}:
    ctypes.CDLL(library)
import acap
acap.__path__.append({built!r})
try:
    for message in acap.messages.subscribe("{topic}", timeout=60):
        print(message.data, flush=True)
except acap.Error as error:
    print(*sorted(kind.__name__ for kind in type(error).__mro__ if kind.__module__ != "acap.errors"), error.code)
    print(error)
"""


@in_cameras
@pytest.mark.parametrize("fault", ["messages-restart", "messages-down"])
def test_connection_that_a_fault_ends_is_told_and_made_again(
    camera: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    faults = tmp_path / "faults"
    faults.mkdir()
    monkeypatch.setenv("INCAMERA_FAULTS", str(faults))
    with acap.messages.subscribe(SCENE, timeout=LONG) as subscription:
        next(subscription)
        (faults / fault).write_text("7\n")
        with pytest.raises(acap.MessagesDown):
            for _ in subscription:
                pass
    if fault == "messages-down":
        for _ in range(2):
            with pytest.raises(acap.MessagesDown):
                acap.messages.subscribe(SCENE)
        (faults / fault).unlink()
    with acap.messages.subscribe(SCENE, timeout=LONG) as subscription:
        next(subscription)


def run_alone(built_module: Path, folder: Path, libraries: tuple[str, ...], topic: str, **environment: str) -> str:
    """Return what a program prints that has no libraries but these."""
    paths = tuple(str(STAND_INS / NEWEST / library) for library in libraries)
    code = PROGRAM.format(libraries=paths, built=str(built_module), topic=topic)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"PYTHONPATH": str(PACKAGE / "src"), "ACAP_APP_NAME": "other", "INCAMERA_MESSAGES": str(folder)}
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        umask=0o022,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.starts_processes
def test_apps_of_other_users_may_write_what_an_app_has_made(built_module: Path, tmp_path: Path) -> None:
    run_alone(built_module, tmp_path, (HUB,), SCENE, INCAMERA_MESSAGES_RESTART_AFTER="1")
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in (".lock", "log")}
    assert modes == {".lock": 0o666, "log": 0o666}


@pytest.mark.starts_processes
def test_installed_app_needs_the_resource_for_the_data_hub_alone(built_module: Path, tmp_path: Path) -> None:
    settings = {"INCAMERA_RESOURCES": "deviceDataHubs overlay", "INCAMERA_MESSAGES_RESTART_AFTER": "3"}
    assert "PermissionError" in run_alone(built_module, tmp_path, (HUB,), SCENE, **settings).split()
    assert "observations" in run_alone(built_module, tmp_path, (BROKER,), SCENE.removeprefix("mdb."), **settings)
    settings["INCAMERA_RESOURCES"] += " deviceDataHub"
    assert "observations" in run_alone(built_module, tmp_path, (HUB,), SCENE, **settings)


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("library", "hint"), [(HUB, '"deviceDataHub": {"enabled": true}'), (BROKER, "let the camera choose the app's user")]
)
def test_app_that_is_refused_is_told_what_to_do(built_module: Path, tmp_path: Path, library: str, hint: str) -> None:
    told = run_alone(built_module, tmp_path, (library,), "com.example.x", INCAMERA_MESSAGES_DENIED="1")
    assert "PermissionError" in told.split()
    assert hint in told


@pytest.mark.starts_processes
@pytest.mark.parametrize("library", [HUB, BROKER])
def test_service_that_stops_is_told(built_module: Path, tmp_path: Path, library: str) -> None:
    topic = SCENE if library == HUB else SCENE.removeprefix("mdb.")
    told = run_alone(built_module, tmp_path, (library,), topic, INCAMERA_MESSAGES_RESTART_AFTER="3")
    assert "ConnectionError" in told.split()
    assert "observations" in told


@pytest.mark.starts_processes
def test_camera_without_the_libraries_is_told(built_module: Path, tmp_path: Path) -> None:
    told = run_alone(built_module, tmp_path, (), "com.example.x")
    assert "NotImplementedError OSError" in told
    assert "AXIS OS 12.11 and newer have the Data Hub" in told
    assert "ACAP_MESSAGES=stderr" in told


@pytest.mark.parametrize("camera", ["desk"], indirect=True)
def test_line_that_is_no_message_is_named(camera: Callable[..., None]) -> None:
    path = Path(os.environ["ACAP_MESSAGES"])
    path.write_text('\n{"data": {}}\n', "utf-8")
    with pytest.raises(acap.BadMessage, match=r"line 2, is no message: a line is as"):
        acap.messages.subscribe("com.example.x")
    path.unlink()
    with pytest.raises(acap.MessageFailed, match="cannot read"):
        acap.messages.topics()


def test_tests_of_an_app_need_no_camera() -> None:
    with acap.testing.messages() as messages:
        subscription = acap.messages.subscribe("com.axis.scene.frame.v1", timeout=LONG)
        messages.send("com.axis.scene.frame.v1", {"detections": [1]})
        with acap.messages.Topic("com.example.people") as people:
            people.write({"count": len(next(subscription).data["detections"])})
        assert messages.sent == [("com.example.people", {"count": 1})]
        assert acap.messages.service() == "desk"
