"""A camera for the tests of connections that are held, and of files in it: they use the only holder of the store."""

from __future__ import annotations

import pytest

from ..cameras import lease_camera

camera = pytest.fixture(scope="package", name="camera")(lease_camera)
