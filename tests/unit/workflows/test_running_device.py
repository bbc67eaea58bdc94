"""Commands that look at what runs start no virtual camera."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.connect.choose import require_running
from incamera.console import Console
from incamera.context import Context
from incamera.errors import UsageError


def test_nothing_is_looked_for_in_a_virtual_camera_that_does_not_run(tmp_path: Path) -> None:
    context = Context.open(Console(), {"INCAMERA_STORE": str(tmp_path / "store")})
    for name in (None, "axis-os-11-armv7hf"):
        with pytest.raises(UsageError, match=r"the virtual camera axis-os-11-armv7hf is not running") as caught:
            require_running(context, name)
        assert caught.value.hint == "`incamera run` starts it"
    (tmp_path / "store/devices").mkdir(exist_ok=True)
    (tmp_path / "store/devices/devices.toml").write_text('[lobby.ssh]\nhost = "192.0.2.1"\n')
    with pytest.raises(UsageError) as caught:
        require_running(context, None)
    assert caught.value.hint == "choose one with --device: lobby"
    assert require_running(context, "lobby").name == "lobby"
    with pytest.raises(UsageError, match='there is no device "lobbi"'):
        require_running(context, "lobbi")
