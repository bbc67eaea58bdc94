"""Events of an installed app, over the web server of a virtual camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.integration.cameras import on
from tests.integration.project import write_project

from .stream_client import StreamClient

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera
    from tests.integration.command import Run

APP = """
import time
import acap.events

door = acap.events.State("Door", open=False)
while True:
    time.sleep(0.5)
    door.open = not door.open
"""
DOOR = "tnsaxis:CameraApplicationPlatform/doorway/Door"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    settings = 'targets = ["armv7hf", "aarch64"]'
    return write_project(tmp_path / "doorway", app=APP, name="doorway", dependencies='["acap"]', settings=settings)


@on(matrix=["axis-os-12-armv7hf", "axis-os-11-aarch64+web"])
def test_stream_has_the_events_of_an_installed_app(camera: VirtualCamera, incamera: Run, project: Path) -> None:
    installed = incamera("install", "--device", camera.name, "--allow-unsigned", "--start", cwd=project)
    assert installed.code == 0, installed.err
    assert camera.password
    login = f"root:{camera.password.read_text().strip()}"
    client = StreamClient(urlsplit(camera.url).port or 0, "/vapix/ws-data-stream?sources=events", login)
    try:
        client.configure({"topicFilter": f"tnsaxis:Storage/Disruption | {DOOR}"})
        told = [client.event() for _ in range(7)]
    finally:
        client.close()
    disks = {source["disk_id"]: data["disruption"] for topic, source, data in told if topic != DOOR}
    assert disks == {"SD_DISK": "0", "NetworkShare": "1"}
    opened = [data["open"] for topic, _, data in told if topic == DOOR]
    assert opened in (["0", "1", "0", "1", "0"], ["1", "0", "1", "0", "1"])
    assert incamera("uninstall", "--device", camera.name, "--app", "doorway", "--yes").code == 0
