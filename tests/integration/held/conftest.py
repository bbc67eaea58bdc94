"""A camera for the tests of connections that are held, and of files in it: they use the only holder of the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from incamera.holder.client import close_connections

from ...waiting import wait_until
from ..cameras import inside, lease_camera
from ..paths import STORE

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

AGENTS = "ps | grep '[i]ncamera_agent' | wc -l"

camera = pytest.fixture(scope="package", name="camera")(lease_camera)


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left(camera: VirtualCamera) -> Iterator[None]:
    yield
    close_connections(STORE, camera.name)
    wait_until(lambda: inside(camera, AGENTS).strip() == "0", "no agent waits in the camera")
