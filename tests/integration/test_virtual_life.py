"""A virtual camera is paused when nobody uses it, and comes back after a restart, whatever has caused it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.targets.profile import require_profile
from incamera.virtual.camera import VirtualCamera, require_camera, restart_camera, stop_camera
from incamera.virtual.start import start_virtual

from ..waiting import wait_until
from .cameras import SMALL_PROFILE, inside

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.store import Store

FLASH, CARD, RAM = "/usr/local/packages", "/var/spool/storage/SD_DISK", "/tmp"


def cpu_nanoseconds(process: int) -> int:
    """Return the time that all threads of *process* have run on a processor."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


# Pausing


@pytest.fixture
def idle(store: Store, context: Context) -> Iterator[VirtualCamera]:
    """A camera that is paused as soon as nobody uses it."""
    profile = require_profile(SMALL_PROFILE)
    camera = start_virtual(context, profile, name=f"idle-{os.getpid()}", owner_pid=os.getpid(), pause_after=0.2)
    yield camera
    stop_camera(store, camera.name)


def test_unused_camera_takes_no_time_and_has_the_right_clock_afterwards(store: Store, idle: VirtualCamera) -> None:
    def is_paused() -> bool:
        return require_camera(store, idle.name).paused

    wait_until(is_paused, "it is paused")
    began, used = time.monotonic(), cpu_nanoseconds(idle.qemu_pid)
    wait_until(lambda: time.monotonic() > began + 2, "time has passed")
    stood = time.monotonic() - began
    assert cpu_nanoseconds(idle.qemu_pid) - used < 1_000_000
    before = time.time()
    up, there = map(float, inside(idle, "read up rest </proc/uptime; echo $up; date +%s").split())
    assert before - 1 <= there <= time.time()
    wait_until(is_paused, "it is paused again")
    # Its clock has gone on, and it has not run.
    up_again, there_again = map(float, inside(idle, "read up rest </proc/uptime; echo $up; date +%s").split())
    assert there_again >= there
    assert up < time.monotonic() - began + idle.seconds + 60
    assert up_again - up < time.monotonic() - began - stood


def test_camera_is_not_paused_while_a_process_runs_in_it(store: Store, idle: VirtualCamera) -> None:
    def used_by() -> str:
        return require_camera(store, idle.name).used_by or ""

    process = inside(idle, "sleep 1000 >/dev/null 2>&1 & echo $!").strip()
    wait_until(lambda: used_by() == f"process {process} (sleep)", "the process is found")
    assert not require_camera(store, idle.name).paused
    inside(idle, f"kill {process}")
    wait_until(lambda: require_camera(store, idle.name).paused, "it is paused")


# Restarting


@pytest.fixture(scope="module")
def restarted(store: Store, context: Context) -> Iterator[VirtualCamera]:
    """A camera for all kinds of restarts."""
    name = f"restarted-{os.getpid()}"
    yield start_virtual(context, require_profile(SMALL_PROFILE), name=name, owner_pid=os.getpid())
    stop_camera(store, name)


def _inside(command: str) -> Callable[[Store, VirtualCamera], object]:
    def act(_store: Store, camera: VirtualCamera) -> None:
        with contextlib.suppress(OSError):
            inside(camera, f"({command}) >/dev/null 2>&1 & sleep 30")

    return act


RESTARTS: dict[str, Callable[[Store, VirtualCamera], object]] = {
    "restart": lambda store, camera: restart_camera(store, camera.name),
    "power cut": lambda store, camera: restart_camera(store, camera.name, power_cut=True),
    "reboot": _inside("reboot"),
    "panic": _inside("sleep 0.2; echo c >/proc/sysrq-trigger"),
    "killed QEMU": lambda _, camera: os.kill(camera.qemu_pid, signal.SIGKILL),
}


@pytest.mark.parametrize("how", RESTARTS)
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
