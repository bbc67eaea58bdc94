"""Places that are of no use, two hosts at one place, and what becomes of a place under way."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...waiting import wait_until
from ..cameras import inside
from ..command import Run, assert_error, command_environment, running
from ..project import write_project
from .conftest import APP, CARD, PACKAGE, RAM

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..line import Line


def test_a_place_that_is_too_full_is_left_for_the_next(incamera: Run, camera: VirtualCamera, tmp_path: Path) -> None:
    grown = write_project(tmp_path / "grown", name="grown", app=APP)
    words = ("deploy", "-C", grown, "--device", camera.name)
    assert incamera(*words, "--to", "package").code == 0
    (grown / "big.bin").write_bytes(os.urandom(6_000_000))
    inside(camera, f"fallocate -l $(df -k {PACKAGE} | awk 'END {{print int($4 / 1024) - 4}}')m {PACKAGE}/fill")
    try:
        assert_error(
            incamera(*words, "--to", "package"), 4, f"{PACKAGE} on {camera.name} has [0-9.]+ MB free", "needs 6.0 MB"
        )
        done = incamera(*words)
        assert done.code == 0, done.err
        assert "trying the next place" in done.err
        assert done.out.startswith(f"{camera.name}:{RAM}/incamera/grown/")
    finally:
        inside(camera, f"rm -rf {PACKAGE}/fill {PACKAGE}/incamera/grown {RAM}/incamera/grown")


def test_a_card_that_is_read_only(incamera: Run, project: Path, camera: VirtualCamera) -> None:
    words = ("deploy", "-C", project, "--device", camera.name, "--to", "sdcard")
    # An image that was replaced, but is mounted still, would keep the card from becoming read-only.
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate; mount -o remount,ro {CARD}")
    assert f"{CARD} vfat ro," in inside(camera, "cat /proc/mounts")
    try:
        assert_error(incamera(*words), 4, f"{CARD} is mounted read-only")
        verdict = incamera("device", "info", "--no-speed", camera.name).out
        assert re.search(rf"sdcard +{CARD} .*of no use: is mounted read-only", verdict)
    finally:
        inside(camera, f"mount -o remount,rw {CARD}")
    assert incamera(*words).code == 0


# Two hosts


def test_who_deploys_second_is_told_who_was_first_and_may_take_over(
    incamera: Run, camera: VirtualCamera, tmp_path: Path, other_host: tuple[Line, dict[str, str]]
) -> None:
    line, alice = other_host
    wanted = write_project(tmp_path / "wanted", name="wanted", app=APP)
    assert incamera("deploy", "-C", wanted, "--device", camera.name).code == 0
    for number in range(8):
        (wanted / f"{number}.bin").write_bytes(os.urandom(500_000))
    assert incamera("build", "-C", wanted, "--target", "armv7hf").code == 0
    begun = line.sent
    with running("deploy", "-C", wanted, "--device", "far", env=command_environment(alice)) as first:
        wait_until(lambda: line.sent > begun + 1_000_000 or first.process.poll() is not None, "half is sent")
        line.freeze()
        words = ("deploy", "-C", wanted, "--device", camera.name)
        with running(*words, env=command_environment({"LOGNAME": "bob"})) as second:
            wait_until(lambda: b"waiting" in second.err or second.process.poll() is not None, "the second is told")
            assert re.search(r"alice@\S+ has been deploying wanted .* for \d+ s: waiting; --take-over", second.text)
            second.press_ctrl_c()
            assert second.finish() == 130
        done = incamera(*words, "--take-over", env={"LOGNAME": "bob"})
        assert done.code == 0, done.err
        first.process.kill()
    assert incamera("run", "-q", "-C", wanted, "--device", camera.name).out.startswith("from ")
    inside(camera, "rm -rf /tmp/incamera/wanted")
