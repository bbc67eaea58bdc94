"""The stream of events over the web server of a virtual camera."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from incamera.connect.choose import choose_web_device
from incamera.connect.web import web_connected
from incamera.vapix.client import Call
from tests.integration.cameras import on

from .stream_client import StreamClient

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera


@on(matrix=["axis-os-12-armv7hf", "axis-os-11-aarch64+web"])
def test_stream_tells_of_the_camera_and_its_disks(camera: VirtualCamera, context: Context) -> None:
    with web_connected(context, choose_web_device(context, camera.name)) as client:
        token = client.call(Call(path="axis-cgi/wssession.cgi", what="ask for a token")).body.decode().strip()
    target = f"/vapix/ws-data-stream?sources=events&wssession={token}"
    stream = StreamClient(urlsplit(camera.url).port or 0, target)
    try:
        stream.configure({"topicFilter": "tns1:Device/tnsaxis:Status//. | tnsaxis:Storage/Disruption"})
        told = [stream.event() for _ in range(3)]
    finally:
        stream.close()
    assert told == [
        ("tns1:Device/tnsaxis:Status/SystemReady", {}, {"ready": "1"}),
        ("tnsaxis:Storage/Disruption", {"disk_id": "SD_DISK"}, {"disruption": "0"}),
        ("tnsaxis:Storage/Disruption", {"disk_id": "NetworkShare"}, {"disruption": "1"}),
    ]
