"""Places that are full or read-only, and two hosts that deploy to one place."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ...waiting import wait_until
from ..cameras import inside
from ..command import Run, assert_error, command_environment, running
from ..project import add_data, write_project
from .conftest import APP, CARD, PACKAGE, RAM

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..line import Line


@pytest.mark.matrix
def test_deploy_tries_the_next_place_when_one_is_full(incamera: Run, camera: VirtualCamera, tmp_path: Path) -> None:
    grown = write_project(tmp_path / "grown", name="grown", app=APP)
    words = ("deploy", "-C", grown, "--device", camera.name)
    # A small file system over the flash, since filling that one would take half a minute.
    inside(camera, f"mount -t tmpfs none {PACKAGE}")
    try:
        assert incamera(*words, "--to", "package").code == 0
        (grown / "big.bin").write_bytes(os.urandom(6_000_000))
        inside(camera, f"mount -o remount,size=$(df -k {PACKAGE} | awk 'END {{print $3 + 4000}}')k {PACKAGE}")
        assert_error(
            incamera(*words, "--to", "package"), 4, f"{PACKAGE} on {camera.name} has [0-9.]+ MB free", "needs 6.0 MB"
        )
        done = incamera(*words)
        assert done.code == 0, done.err
        assert "trying the next place" in done.err
        assert done.out.startswith(f"{camera.name}:{RAM}/incamera/grown/")
    finally:
        inside(camera, f"umount {PACKAGE}; rm -rf {RAM}/incamera/grown")


@pytest.mark.matrix
def test_error_for_a_read_only_card_names_it(incamera: Run, project: Path, camera: VirtualCamera) -> None:
    words = ("deploy", "-C", project, "--device", camera.name, "--to", "sdcard")
    # While an image on it is mounted, a card cannot be remounted read-only.
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate; mount -o remount,ro {CARD}")
    assert f"{CARD} vfat ro," in inside(camera, "cat /proc/mounts")
    try:
        assert_error(incamera(*words), 4, f"{CARD} is mounted read-only")
        verdict = incamera("device", "info", "--no-speed", camera.name).out
        assert re.search(rf"sdcard +{CARD} .*cannot be used: is mounted read-only", verdict)
    finally:
        inside(camera, f"mount -o remount,rw {CARD}")
    assert incamera(*words).code == 0


@pytest.mark.matrix
def test_second_deploy_waits_for_the_first_unless_it_takes_over(
    incamera: Run, camera: VirtualCamera, tmp_path: Path, other_host: tuple[Line, dict[str, str]]
) -> None:
    line, alice = other_host
    wanted = write_project(tmp_path / "wanted", name="wanted", app=APP)
    assert incamera("deploy", "-C", wanted, "--device", camera.name).code == 0
    add_data(wanted)
    assert incamera("build", "-C", wanted, "--target", "armv7hf").code == 0
    sent = line.sent
    with running("deploy", "-C", wanted, "--device", "far", env=command_environment(alice)) as first:
        wait_until(lambda: line.sent > sent + 1_000_000 or first.process.poll() is not None, "half is sent")
        line.freeze()
        words = ("deploy", "-C", wanted, "--device", camera.name)
        with running(*words, env=command_environment({"LOGNAME": "bob"})) as second:
            wait_until(lambda: b"waiting" in second.err or second.process.poll() is not None, "the second waits")
            assert re.search(r"alice@\S+ has been deploying wanted .* for \d+ s: waiting; --take-over", second.text)
            second.press_ctrl_c()
            assert second.finish() == 130
        done = incamera(*words, "--take-over", env={"LOGNAME": "bob"})
        assert done.code == 0, done.err
        first.process.kill()
    assert incamera("run", "-q", "-C", wanted, "--device", camera.name).out.startswith("from ")
    inside(camera, "rm -rf /tmp/incamera/wanted")
