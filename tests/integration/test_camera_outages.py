"""Cameras that lose their card or restart under way. Each test has a camera of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.virtual.camera import restart_camera

from ..waiting import wait_until
from .cameras import CameraPool, inside, lease_camera
from .command import Run, assert_error, command_environment, running
from .places.conftest import APP, CARD, edit, other_host, project
from .project import add_data, write_project
from .watch.test_watch import FOREVER, traces, watched

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.virtual.camera import VirtualCamera

    from .line import Line

__all__ = ["other_host", "project"]

pytestmark = pytest.mark.matrix

camera = pytest.fixture(name="camera")(lease_camera)


def test_run_fails_with_a_pulled_card_and_the_camera_goes_on(
    incamera: Run, project: Path, camera: VirtualCamera
) -> None:
    words = ("-C", project, "--device", camera.name, "--to", "sdcard")
    assert incamera("run", *words).code == 0
    disk = inside(camera, f"awk '$2 == \"{CARD}\" {{print $1}}' /proc/mounts").strip().removeprefix("/dev/")
    inside(camera, f"basename $(readlink -f /sys/block/{disk}/device) >/sys/bus/virtio/drivers/virtio_blk/unbind")
    edit(project)
    assert_error(incamera("run", *words), 4, f"{CARD}", "pulled|read-only")
    # The rest of the camera goes on.
    assert incamera("run", "-q", *words[:-1], "ram").out.startswith("from ")


def test_deploy_fails_when_the_camera_stops_and_works_when_it_is_back(
    incamera: Run,
    camera: VirtualCamera,
    tmp_path: Path,
    other_host: tuple[Line, dict[str, str]],
    cameras: CameraPool,
) -> None:
    line, alice = other_host
    cut_off = write_project(tmp_path / "cutoff", name="cutoff", app=APP)
    add_data(cut_off)
    assert incamera("build", "-C", cut_off, "--target", "armv7hf").code == 0
    sent = line.sent
    with running("deploy", "-C", cut_off, "--device", "far", env=command_environment(alice)) as command:
        wait_until(lambda: line.sent > sent + 2_000_000 or command.process.poll() is not None, "half is sent")
        assert command.process.poll() is None, command.text
        cameras.stop(camera.name)
        assert command.finish() == 4
        assert "was lost" in command.text
        assert "hint:" in command.text
    cameras.start(camera.profile, camera.name)
    done = incamera("run", "-q", "-C", cut_off, "--device", camera.name)
    assert done.code == 0, done.err
    assert done.out.startswith("from ")


def test_watch_waits_for_a_camera_that_restarts(camera: VirtualCamera, store: Store, tmp_path: Path) -> None:
    project = write_project(tmp_path / "restarts", app=f"print('up')\n{FOREVER}", name="restarts")
    with watched(project, camera) as watch:
        watch.await_("up")
        watch.save("unseen.txt", "x")
        again = restart_camera(store, camera.name)
        watch.await_("was lost (since")
        watch.save("app.py", f"print('up again')\n{FOREVER}")
        watch.await_("is back")
        watch.await_("up again")
    assert again.ssh_port == camera.ssh_port
    assert traces(again) == ""
