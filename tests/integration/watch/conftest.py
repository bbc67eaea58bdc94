"""A camera for the tests of `run --watch` and of the agent."""

from __future__ import annotations

import pytest

from ..cameras import lease_camera

camera = pytest.fixture(scope="package", name="camera")(lease_camera)
