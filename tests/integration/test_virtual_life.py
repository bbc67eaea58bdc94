"""A virtual camera is paused when nobody uses it, and comes back after a restart, whatever has caused it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.targets.profile import require_profile
from incamera.virtual.camera import VirtualCamera, list_cameras, require_camera, restart_camera, stop_camera
from incamera.virtual.start import start_virtual

from ..waiting import wait_until
from .cameras import SMALL_PROFILE, inside, inside_to_the_end

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.store import Store

FLASH, CARD, RAM = "/usr/local/packages", "/var/spool/storage/SD_DISK", "/tmp"


def cpu_nanoseconds(process: int) -> int:
    """Return the time that all threads of *process* have run on a processor."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


def wait_until_paused(store: Store, camera: VirtualCamera) -> None:
    wait_until(lambda: require_camera(store, camera.name).paused, "it is paused")


def _inside(command: str) -> Callable[[Store, VirtualCamera], object]:
    return lambda _, camera: inside_to_the_end(camera, f"({command}) >/dev/null 2>&1 & sleep 30")


RESTARTS: dict[str, Callable[[Store, VirtualCamera], object]] = {
    "restart": lambda store, camera: restart_camera(store, camera.name),
    "power cut": lambda store, camera: restart_camera(store, camera.name, power_cut=True),
    "reboot": _inside("reboot"),
    "panic": _inside("sleep 0.2; echo c >/proc/sysrq-trigger"),
    "killed QEMU": lambda _, camera: os.kill(camera.qemu_pid, signal.SIGKILL),
}


# Pausing


@pytest.fixture(scope="module")
def idle(store: Store, context: Context) -> Iterator[VirtualCamera]:
    """A camera that is paused as soon as nobody uses it."""
    profile = require_profile(SMALL_PROFILE)
    camera = start_virtual(context, profile, name=f"idle-{os.getpid()}", owner_pid=os.getpid(), pause_after=0.2)
    yield camera
    wait_until_paused(store, camera)
    stop_camera(store, camera.name)
    assert camera.name not in [camera.name for camera in list_cameras(store)]


def test_unused_camera_takes_no_time_and_has_the_right_clock_afterwards(store: Store, idle: VirtualCamera) -> None:
    wait_until_paused(store, idle)
    began, used = time.monotonic(), cpu_nanoseconds(idle.qemu_pid)
    wait_until(lambda: time.monotonic() > began + 2, "time has passed")
    assert cpu_nanoseconds(idle.qemu_pid) - used < 1_000_000
    before = time.time()
    there = int(inside(idle, "date +%s"))
    assert before - 1 <= there <= time.time()


def test_connections_that_come_together_wake_it(store: Store, idle: VirtualCamera) -> None:
    wait_until_paused(store, idle)
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda word: inside(idle, f"echo {word}"), ("one", "two"))) == ["one\n", "two\n"]


@pytest.mark.parametrize("how", ["restart", "killed QEMU"])
def test_paused_camera_restarts(store: Store, idle: VirtualCamera, how: str) -> None:
    wait_until_paused(store, idle)
    paused = require_camera(store, idle.name)
    RESTARTS[how](store, paused)
    wait_until(lambda: require_camera(store, idle.name).restarts > paused.restarts, "it has restarted")
    assert inside(idle, "echo here") == "here\n"


def test_connection_on_which_nothing_is_said_is_use(idle: VirtualCamera) -> None:
    assert inside(idle, "sleep 2; echo slept") == "slept\n"


def test_camera_is_not_paused_while_a_process_runs_in_it(store: Store, idle: VirtualCamera) -> None:
    def used_by() -> str:
        return require_camera(store, idle.name).used_by or ""

    process = inside(idle, "sleep 1000 >/dev/null 2>&1 & echo $!").strip()
    wait_until(lambda: used_by() == f"process {process} (sleep)", "the process is found")
    assert not require_camera(store, idle.name).paused
    inside(idle, f"kill {process}")
    wait_until_paused(store, idle)


# Restarting


@pytest.fixture(scope="module")
def restarted(store: Store, context: Context) -> Iterator[VirtualCamera]:
    """A camera for all kinds of restarts."""
    name = f"restarted-{os.getpid()}"
    yield start_virtual(context, require_profile(SMALL_PROFILE), name=name, owner_pid=os.getpid())
    stop_camera(store, name)


@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=pytest.mark.matrix) if how in ("power cut", "panic") else how for how in RESTARTS],
)
def test_restart_keeps_flash_and_card_and_empties_the_ram(store: Store, restarted: VirtualCamera, how: str) -> None:
    before = require_camera(store, restarted.name)
    words = how.replace(" ", "-")
    names, boot = "hostname; cat /sys/class/net/eth0/address", "cat /proc/sys/kernel/random/boot_id"
    named, booted = inside(before, names), inside(before, boot)
    inside(before, f"for folder in {FLASH} {CARD} {RAM}; do echo {words} >$folder/note; done; sync")
    RESTARTS[how](store, before)
    wait_until(lambda: require_camera(store, restarted.name).restarts > before.restarts, "it has restarted")
    after = require_camera(store, restarted.name)
    assert (after.ssh_port, after.pid, after.restarts) == (before.ssh_port, before.pid, before.restarts + 1)
    assert after.qemu_pid != before.qemu_pid
    assert inside(after, f"cat {FLASH}/note {CARD}/note; ls {RAM}") == f"{words}\n{words}\n"
    assert inside(after, names) == named
    assert inside(after, boot) != booted


def test_connection_waits_for_a_camera_that_restarts(store: Store, restarted: VirtualCamera) -> None:
    before = require_camera(store, restarted.name)
    os.kill(before.qemu_pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{before.qemu_pid}").exists(), "QEMU is gone")
    assert inside(before, "echo here") == "here\n"
    assert require_camera(store, restarted.name).restarts == before.restarts + 1
