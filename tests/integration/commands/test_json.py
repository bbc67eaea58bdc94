"""The JSON documents that no other test reads. Each command's output is compared with its schema as it is read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..command import Finished, command_environment, running
from ..project import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.virtual.camera import VirtualCamera

    from ..command import Run


def read(done: Finished) -> dict[str, Any]:
    """Return the only JSON document of a command that succeeded."""
    assert done.code == 0, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document


def test_share_commands_print_json(tmp_path: Path, camera: VirtualCamera, incamera: Run) -> None:
    name = f"json-{os.getpid()}"
    on = ("--device", camera.name, "--json")
    folder = tmp_path / "data"
    folder.mkdir()
    with running("share", "serve", folder, "--name", name, "--json", env=command_environment()) as server:
        server.await_output('"served": true\n}')
        shares = {share["name"]: share for share in read(incamera("share", "list", "--json"))["shares"]}
        assert shares[name] | {"schema": 1} == json.loads(server.out) | {"answers": True}
        attached = read(incamera("share", "attach", name, *on))
        assert (attached["device"], attached["share"]["folder"]) == (camera.name, str(folder))
        assert attached["mounted_now"] is True
        assert read(incamera("share", "attach", name, *on))["mounted_now"] is False
        assert read(incamera("share", "detach", *on))["unmounted"] is not None
        server.press_ctrl_c()
        assert server.finish() == 0
    assert read(incamera("share", "remove", name, "--json"))["removed"] == name
    nas = ("share", "add", name, "--folder", folder, "--address", "127.0.0.1", "--json")
    try:
        assert read(incamera(*nas))["served"] is False
    finally:
        incamera("share", "remove", name)


def test_commands_about_a_project_print_json(tmp_path: Path, incamera: Run) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "app.py").write_text("print(1)\n")
    assert read(incamera("new", ".", "--json", cwd=folder))["entry"] == "app.py"
    assert read(incamera("init", "--dry-run", "--json", cwd=folder))["files"] == []
    project = write_project(tmp_path / "plain", dependencies='["numpy"]')
    explained = read(incamera("lock", "--explain", "numpy", "--json", "-C", project))
    assert [item["target"] for item in explained["targets"]] == ["armv7hf-cp311"]


def test_commands_about_cameras_print_json(camera: VirtualCamera, incamera: Run) -> None:
    profiles = read(incamera("virtual", "profiles", "--json"))["profiles"]
    assert camera.profile in [profile["name"] for profile in profiles]
    assert camera.name in [item["name"] for item in read(incamera("virtual", "list", "--json"))["cameras"]]
    closed = [read(incamera("connections", "close", camera.name, "--json"))["closed"] for _ in range(2)]
    assert closed[0] in ([], [camera.name])  # the camera is shared: another test may have left a connection
    assert closed[1] == []
