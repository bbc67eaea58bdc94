"""Places that are of no use, two hosts at one place, and what becomes of a place under way."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..conftest import command_environment
from ..helpers import Line, eventually, inside, running, write_project
from .conftest import APP, CARD, PACKAGE, RAM, Run, complain, edit

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


def test_a_place_that_is_too_full_is_left_for_the_next(incamera: Run, tenant: VirtualCamera, tmp_path: Path) -> None:
    grown = write_project(tmp_path / "grown", name="grown", app=APP)
    words = ("deploy", "-C", grown, "--device", tenant.name)
    assert incamera(*words, "--to", "package").code == 0
    (grown / "big.bin").write_bytes(os.urandom(6_000_000))
    inside(tenant, f"fallocate -l $(df -k {PACKAGE} | awk 'END {{print int($4 / 1024) - 4}}')m {PACKAGE}/fill")
    try:
        complain(
            incamera(*words, "--to", "package"), 4, f"{PACKAGE} on {tenant.name} has [0-9.]+ MB free", "needs 6.0 MB"
        )
        done = incamera(*words)
        assert done.code == 0, done.err
        assert "trying the next place" in done.err
        assert done.out.startswith(f"{tenant.name}:{RAM}/incamera/grown/")
    finally:
        inside(tenant, f"rm -rf {PACKAGE}/fill {PACKAGE}/incamera/grown {RAM}/incamera/grown")


def test_a_card_that_is_read_only(incamera: Run, project: Path, tenant: VirtualCamera) -> None:
    words = ("deploy", "-C", project, "--device", tenant.name, "--to", "sdcard")
    # An image that was replaced, but is mounted still, would keep the card from becoming read-only.
    inside(tenant, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate; mount -o remount,ro {CARD}")
    assert f"{CARD} vfat ro," in inside(tenant, "cat /proc/mounts")
    try:
        complain(incamera(*words), 4, f"{CARD} is mounted read-only")
        verdict = incamera("device", "info", "--no-speed", tenant.name).out
        assert re.search(rf"sdcard +{CARD} .*of no use: is mounted read-only", verdict)
    finally:
        inside(tenant, f"mount -o remount,rw {CARD}")
    assert incamera(*words).code == 0


# Two hosts


def test_who_deploys_second_is_told_who_was_first_and_may_take_over(
    incamera: Run, tenant: VirtualCamera, tmp_path: Path, other_host: tuple[Line, dict[str, str]]
) -> None:
    line, alice = other_host
    wanted = write_project(tmp_path / "wanted", name="wanted", app=APP)
    assert incamera("deploy", "-C", wanted, "--device", tenant.name).code == 0
    for number in range(8):
        (wanted / f"{number}.bin").write_bytes(os.urandom(500_000))
    assert incamera("build", "-C", wanted, "--target", "armv7hf").code == 0
    begun = line.sent
    with running("deploy", "-C", wanted, "--device", "far", env=command_environment(alice)) as first:
        eventually(lambda: line.sent > begun + 1_000_000 or first.process.poll() is not None, "half is sent")
        line.freeze()
        words = ("deploy", "-C", wanted, "--device", tenant.name)
        with running(*words, env=command_environment({"LOGNAME": "bob"})) as second:
            eventually(lambda: b"waiting" in second.err or second.process.poll() is not None, "the second is told")
            assert re.search(r"alice@\S+ has been deploying wanted .* for \d+ s: waiting; --take-over", second.text)
            second.press_ctrl_c()
            assert second.finish() == 130
        done = incamera(*words, "--take-over", env={"LOGNAME": "bob"})
        assert done.code == 0, done.err
        first.process.kill()
    assert incamera("run", "-q", "-C", wanted, "--device", tenant.name).out.startswith("from ")
    inside(tenant, "rm -rf /tmp/incamera/wanted")


# The end of the camera: these go last.


def test_a_card_that_is_pulled(incamera: Run, project: Path, tenant: VirtualCamera) -> None:
    words = ("-C", project, "--device", tenant.name, "--to", "sdcard")
    assert incamera("run", *words).code == 0
    disk = inside(tenant, f"awk '$2 == \"{CARD}\" {{print $1}}' /proc/mounts").strip().removeprefix("/dev/")
    inside(tenant, f"basename $(readlink -f /sys/block/{disk}/device) >/sys/bus/virtio/drivers/virtio_blk/unbind")
    edit(project)
    complain(incamera("run", *words), 4, f"{CARD}", "pulled|read-only")
    # The rest of the camera goes on.
    assert incamera("run", "-q", *words[:-1], "ram").out.startswith("from ")


def test_a_camera_that_restarts_in_the_middle(
    incamera: Run,
    tenant: VirtualCamera,
    tmp_path: Path,
    other_host: tuple[Line, dict[str, str]],
    start_virtual: Callable[..., VirtualCamera],
) -> None:
    line, alice = other_host
    cut_off = write_project(tmp_path / "cutoff", name="cutoff", app=APP)
    for number in range(8):
        (cut_off / f"{number}.bin").write_bytes(os.urandom(500_000))
    assert incamera("build", "-C", cut_off, "--target", "armv7hf").code == 0
    begun = line.sent
    with running("deploy", "-C", cut_off, "--device", "far", env=command_environment(alice)) as command:
        eventually(lambda: line.sent > begun + 2_000_000 or command.process.poll() is not None, "half is sent")
        assert command.process.poll() is None, command.text
        incamera("virtual", "stop", tenant.name)
        assert command.finish() == 4
        assert "was lost" in command.text
        assert "hint:" in command.text
    again = start_virtual("axis-os-11-armv7hf", name=tenant.name)
    done = incamera("run", "-q", "-C", cut_off, "--device", again.name)
    assert done.code == 0, done.err
    assert done.out.startswith("from ")
