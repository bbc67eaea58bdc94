"""Faults that are set in a running virtual camera, as an app meets them."""

from __future__ import annotations

import base64
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.connect.choose import choose_web_device
from incamera.connect.web import web_connected
from incamera.vapix.client import Call

from ..unit.acap_inference.networks import example
from ..unit.acap_video.scene import decode_picture
from ..waiting import wait_until
from .cameras import DEFAULT_PROFILE, on
from .command import COMMAND_SECONDS, command_environment, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

    from .command import Run

OTHERS = ("axis-os-10-aarch64",)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "faults"
    shutil.copytree(Path(__file__).parent / "projects/faults", folder)
    (folder / "uint8.tflite").write_bytes(example("uint8").render())
    return folder


@pytest.fixture
def cleared(camera: VirtualCamera, incamera: Run) -> Iterator[None]:
    """No fault is left for the next test."""
    yield
    assert incamera("virtual", "fault", "clear", "--device", camera.name).code == 0


def set_faults(incamera: Run, camera: VirtualCamera) -> dict[str, Any]:
    done = incamera("virtual", "fault", "list", "--json", "--device", camera.name)
    assert done.code == 0, done.err
    return {one["name"]: one["value"] for one in json.loads(done.out)["faults"] if one["set"]}


@on(DEFAULT_PROFILE, matrix=OTHERS)
@pytest.mark.usefixtures("cleared")
def test_app_meets_the_faults_that_are_set(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    here = ("--device", camera.name)

    def fault(action: str, *names: str) -> None:
        done = incamera("virtual", "fault", action, *names, *here)
        assert done.code == 0, done.err

    changes: Counter[str] = Counter()
    with running("run", "-C", app, *here, "--", "attempts", env=command_environment()) as command:

        def meets(name: str, kind: str) -> None:
            """Wait until it has met *kind* after what it met before. Of two faults, it may meet another one first."""

            def found() -> int | None:
                lines = [json.loads(line) for line in command.out.rpartition(b"\n")[0].splitlines()]
                return next(
                    (number for *what, number in lines if what == [name, kind] and number > changes[name]), None
                )

            changes[name] = wait_until(found, lambda: f"{name} meets {kind}: {command.out!r}", COMMAND_SECONDS) or 0

        for name in ("stream", "model", "storage"):
            meets(name, "good")
        for names, kinds in (
            (("no-memory",), {"stream": "NoMoreStreams", "model": "InferenceFailed"}),
            (("model-refused", "video-down"), {"stream": "ServiceDown", "model": "BadModel"}),
            (("no-power", "device-busy"), {"stream": "NoMoreStreams", "model": "InferenceFailed"}),
            (("no-power", "storage-pulled"), {"model": "NoPower", "storage": "StorageNotReady"}),
        ):
            fault("set", *names)
            assert set_faults(incamera, camera) == dict.fromkeys(names)
            for name, kind in kinds.items():
                meets(name, kind)
            fault("clear")
            assert set_faults(incamera, camera) == {}
            for name in kinds:
                meets(name, "good")
        command.press_ctrl_c()
        command.finish()


@on(DEFAULT_PROFILE, matrix=["axis-os-11-aarch64"])
@pytest.mark.usefixtures("cleared")
def test_messages_end_and_begin_again(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    here = ("--device", camera.name)
    with running("run", "-C", app, *here, "--", "messages", env=command_environment()) as command:
        command.await_output('["messages", "good", 1]')
        assert incamera("virtual", "fault", "set", "messages-restart", *here).code == 0
        command.await_output('["messages", "MessagesDown", 2]')
        command.await_output('["messages", "good", 3]')
        assert incamera("virtual", "fault", "set", "messages-down", *here).code == 0
        command.await_output('["messages", "MessagesDown", 4]')
        assert incamera("virtual", "fault", "clear", "messages-down", *here).code == 0
        command.await_output('["messages", "good", 5]')
        command.press_ctrl_c()
        command.finish()


@pytest.mark.matrix
@on(DEFAULT_PROFILE, matrix=OTHERS)
@pytest.mark.usefixtures("cleared")
def test_stream_and_model_go_on_after_a_restart(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    here = ("--device", camera.name)
    with running("run", "-C", app, *here, "--", "stream", env=command_environment()) as command:
        command.await_output('["ready"]')
        assert incamera("virtual", "fault", "set", "video-restart", *here).code == 0
        command.await_output('["rebuilt", 1, 0]')
        assert incamera("virtual", "fault", "set", "rotation=90", "dropped-frames=3", *here).code == 0
        command.await_output('["rebuilt", 2, 90]')
        command.await_output('["dropped"]')
        assert set_faults(incamera, camera) == {"rotation": 90, "dropped-frames": 3}
        command.press_ctrl_c()
        command.finish()
    with running("run", "-C", app, *here, "--", "model", env=command_environment()) as command:
        command.await_output('["restarted", 0]')
        assert incamera("virtual", "fault", "set", "inference-restart", *here).code == 0
        command.await_output('["restarted", 1]')
        command.press_ctrl_c()
        command.finish()


@on(DEFAULT_PROFILE, matrix=("axis-os-11-aarch64", *OTHERS))
def test_stream_and_model_go_on_when_the_service_was_killed(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    """With `kill -9`, in mid-stream: nothing of it is told to the app but that its lines have ended."""
    here = ("--device", camera.name)
    with running("run", "-C", app, *here, "--", "stream", env=command_environment()) as command:
        command.await_output('["ready"]')
        assert set_faults(incamera, camera) == {}
        for number in (1, 2):
            done = incamera("virtual", "fault", "set", "service-killed", *here)
            assert (done.code, "starts anew" in done.out) == (0, True), done.err
            command.await_output(f'["rebuilt", {number}, 0]')
        assert set_faults(incamera, camera) == {}
        command.press_ctrl_c()
        command.finish()


@on(DEFAULT_PROFILE, matrix=("axis-os-11-aarch64",))
def test_app_sees_streams_and_boxes_of_another(camera: VirtualCamera, incamera: Run, app: Path, tmp_path: Path) -> None:
    here = ("--device", camera.name)
    other = tmp_path / "other"
    shutil.copytree(app, other)
    settings = other / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8").replace('name = "faults"', 'name = "other"'), "utf-8")
    with running("run", "-C", other, *here, "--", "look", env=command_environment()) as looking:
        looking.await_output('["look", 0, ')
        with running("run", "-C", app, *here, "--", "draw", env=command_environment()) as drawing:
            drawing.await_output('["drawn"]')
            wait_until(lambda: last_look(looking.out) == (1, True), "the other app's box is seen")
            drawing.press_ctrl_c()
            drawing.finish()
        wait_until(lambda: last_look(looking.out) == (0, False), "the other app's box is gone")
        looking.press_ctrl_c()
        looking.finish()


@pytest.mark.matrix
@on("axis-os-11-armv7hf+web")
def test_pictures_of_the_cameras_web_server_have_what_an_app_draws(
    camera: VirtualCamera, context: Context, app: Path
) -> None:
    with (
        running("run", "-C", app, "--device", camera.name, "--", "draw", env=command_environment()) as command,
        web_connected(context, choose_web_device(context, camera.name)) as client,
    ):
        command.await_output('["drawn"]')
        call = Call(path="axis-cgi/jpg/image.cgi", query={"resolution": "320x180"}, what="take a picture")
        assert is_boxed(client.call(call).body)
        command.press_ctrl_c()
        command.finish()
        assert not is_boxed(client.call(call).body)


def last_look(output: bytes) -> tuple[int, bool] | None:
    """Return how many streams the app has seen the last time, and whether its picture had a box."""
    lines = [line for line in output.split(b"\n")[:-1] if line.startswith(b'["look"')]
    if not lines:
        return None
    _, count, picture = json.loads(lines[-1])
    return count, is_boxed(base64.b64decode(picture))


def is_boxed(jpeg: bytes) -> bool:
    """Whether the picture has the box of the app."""
    picture = decode_picture(jpeg).to_ndarray(format="rgb24").astype(int)
    assert picture.shape == (180, 320, 3)
    row = picture[46, 90:230]
    return bool((row[:, 1] > row[:, 0] + 60).all())


@pytest.mark.matrix
@on(DEFAULT_PROFILE)
def test_picture_has_what_the_app_draws(camera: VirtualCamera, incamera: Run, app: Path, tmp_path: Path) -> None:
    here = ("--device", camera.name)
    file = tmp_path / "boxes.jpg"
    refused = incamera("virtual", "overlay-picture", file, "--timeout", "0.5", *here)
    assert (refused.code, "no app has drawn over a picture" in refused.err) == (4, True)
    with running("run", "-C", app, *here, "--", "draw", env=command_environment()) as command:
        command.await_output('["drawn"]')
        done = incamera("virtual", "overlay-picture", file, "--json", *here)
        assert done.code == 0, done.err
        assert json.loads(done.out)["bytes"] == file.stat().st_size
        command.press_ctrl_c()
        command.finish()
    assert is_boxed(file.read_bytes())


@pytest.mark.matrix
@on(DEFAULT_PROFILE, matrix=OTHERS)
@pytest.mark.usefixtures("cleared")
def test_card_is_pulled_and_put_back(camera: VirtualCamera, incamera: Run) -> None:
    here = ("--device", camera.name)

    def state(*words: str) -> list[str]:
        done = incamera("virtual", "storage", *words, "--json", *here)
        assert done.code == 0, done.err
        return [one["state"] for one in json.loads(done.out)["storages"]]

    assert state() == ["there"]
    for word in ("pulled", "there", "exiting", "full", "readonly", "pulled", "exiting", "there"):
        assert state(word) == [word]
        assert state() == [word]
    assert state("there") == ["there"]
