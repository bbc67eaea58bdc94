"""The examples `motion`, `timelapse` and `dashboard` on this computer, and in tests as an app would have them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.unit.acap_video.conftest import ROOT, fresh_settings, video

from .loading import load
from .pictures import read_picture

if TYPE_CHECKING:
    from .conftest import Locally

__all__ = ["fresh_settings", "video"]
pytestmark = pytest.mark.starts_processes


def picture(left: int) -> Any:
    """Return a grey picture with a bright square."""
    pixels = np.full((180, 320), 60, np.uint8)
    pixels[80:120, left : left + 40] = 200
    return pixels


@pytest.mark.usefixtures("video")
def test_motion_sends_an_event_when_it_begins_and_one_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import acap

    monkeypatch.setattr("sys.argv", ["app.py"])
    app = load(ROOT / "examples/motion/app.py")
    still, moved = picture(100), picture(110)
    with acap.testing.events() as events, acap.testing.scene(still, still, moved, still, still, still):
        app.main()
    # The first is the declaration's.
    assert [event.data for event in events.sent if event.data["moving"]] == [{"moving": True}]
    assert events.sent[-1].data == {"moving": False}
    assert events.sent[-1].topic.endswith("/Motion")


def test_motion_of_the_known_scene_is_told_once(copied: Callable[[str], Path], locally: Locally) -> None:
    done = locally(copied("motion"), "--", "5")
    assert (done.returncode, done.stdout) == (0, "moving\n"), done.stderr
    assert "Motion" in done.stderr


def test_timelapse_saves_a_picture_in_each_interval(copied: Callable[[str], Path], locally: Locally) -> None:
    folder = copied("timelapse")
    (folder / "card/SD_DISK").mkdir(parents=True)
    (folder / "settings.toml").write_text('Interval = "1"\n')
    start = time.monotonic()
    done = locally(folder, "--", "3", ACAP_STORAGE="card", ACAP_PARAMETERS="settings.toml")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start > 2
    pictures = sorted((folder / "card").rglob("*.jpg"))
    assert [path.name for path in pictures] == done.stdout.split()
    assert len(pictures) == 3
    assert read_picture(pictures[0]).shape == (720, 1280, 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", pictures[0].parent.name)


@pytest.mark.usefixtures("video")
def test_timelapse_takes_a_new_interval_at_once() -> None:
    import acap

    app = load(ROOT / "examples/timelapse/app.py")
    with acap.testing.parameters(Interval=3600) as camera, acap.parameters.changes("Interval") as changes:
        camera.change("Interval", 0)
        app.pause(changes)  # else the test's time is over


@pytest.mark.usefixtures("video")
def test_dashboard_tells_frames_events_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    import acap

    app = load(ROOT / "examples/dashboard/app.py")

    async def use(camera: Any, events: Any) -> None:
        app_task = asyncio.create_task(app.main(4))
        await asyncio.sleep(0.1)
        events.set_state(app.PORT, port=1, state=True)
        camera.change("Interval", "0.01")
        await app_task

    still = picture(100)
    with (
        acap.testing.events() as events,
        acap.testing.parameters(Interval=1) as camera,
        acap.testing.scene(still, still, still),
    ):
        asyncio.run(use(camera, events))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1] == f"3 frames, {still.mean() / 255:.0%} bright, ports {{1: True}}"


def test_dashboard_sees_the_known_scene(copied: Callable[[str], Path], locally: Locally) -> None:
    done = locally(copied("dashboard"), "--", "2")
    assert done.returncode == 0, done.stderr
    first, second = (int(line.split()[0]) for line in done.stdout.splitlines())
    assert 0 < first < second
