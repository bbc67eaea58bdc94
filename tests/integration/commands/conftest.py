"""A camera for the tests of single commands: none of them needs one that nothing has been sent to."""

from __future__ import annotations

import pytest

from ..cameras import lease_camera

camera = pytest.fixture(scope="package", name="camera")(lease_camera)
