"""A virtual camera is paused when nobody uses it, and comes back after a restart, whatever has caused it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.targets.profile import require_profile
from incamera.virtual.camera import Extras, VirtualCamera, list_cameras, require_camera, restart_camera, stop_camera
from incamera.virtual.start import start_virtual

from ..waiting import PATIENCE_SECONDS, wait_until
from .cameras import SMALL_PROFILE, inside, inside_to_the_end
from .command import Running, command_environment, running

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.store import Store

# From one address, dropbear lets no more callers log in at the same time.
_DROPBEAR_LOGINS = 5
FLASH, CARD, RAM = "/usr/local/packages", "/var/spool/storage/SD_DISK", "/tmp"


def cpu_nanoseconds(process: int) -> int:
    """Return the time that all threads of *process* have run on a processor."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


def resident_bytes(process: int) -> int:
    """Return how much memory of this computer *process* uses."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_until_paused(store: Store, camera: VirtualCamera) -> None:
    wait_until(lambda: require_camera(store, camera.name).paused, "it is paused")


def _call(camera: VirtualCamera) -> socket.socket:
    return socket.create_connection((camera.ssh_host, camera.ssh_port), timeout=PATIENCE_SECONDS)


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
    camera = start_virtual(
        context, profile, name=f"idle-{os.getpid()}", owner_pid=os.getpid(), extras=Extras(pause_after=0.2)
    )
    yield camera
    wait_until_paused(store, camera)
    stop_camera(store, camera.name)
    assert camera.name not in [camera.name for camera in list_cameras(store)]


def test_unused_camera_takes_no_time_and_has_the_right_clock_afterwards(store: Store, idle: VirtualCamera) -> None:
    wait_until_paused(store, idle)
    qemu = require_camera(store, idle.name).qemu_pid  # another one than at first where a test has restarted the camera
    assert resident_bytes(qemu) < 600_000_000
    began, used = time.monotonic(), cpu_nanoseconds(qemu)
    wait_until(lambda: time.monotonic() > began + 2, "time has passed")
    assert cpu_nanoseconds(qemu) - used < 1_000_000
    before = time.time()
    there = int(inside(idle, "date +%s"))
    assert before - 1 <= there <= time.time()


@pytest.mark.parametrize("how", ["clock set back", pytest.param("pause", marks=pytest.mark.matrix)])
def test_clock_is_right_after_a_pause_of_three_minutes(store: Store, idle: VirtualCamera, how: str) -> None:
    if how == "clock set back":  # in the camera: to its clock, that is what a pause is
        inside(idle, "date -s @$(($(date +%s) - 180))")
    wait_until_paused(store, idle)
    if how == "pause":
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 180, "three minutes have passed", seconds=300)
        assert require_camera(store, idle.name).paused
    before = time.time()
    there = int(inside(idle, "date +%s"))
    assert before - 1 <= there <= time.time()


def test_eight_callers_that_wake_it_are_all_answered(store: Store, idle: VirtualCamera) -> None:
    wait_until_paused(store, idle)
    with ExitStack() as opened:
        callers = [opened.enter_context(_call(idle)) for _ in range(8)]
        assert [caller.recv(4) for caller in callers] == [b"SSH-"] * _DROPBEAR_LOGINS + [b""] * (8 - _DROPBEAR_LOGINS)


def test_logins_that_come_together_wake_it(store: Store, idle: VirtualCamera) -> None:
    wait_until_paused(store, idle)
    words = [f"word{number}\n" for number in range(_DROPBEAR_LOGINS)]
    with ThreadPoolExecutor(len(words)) as pool:
        assert list(pool.map(lambda word: inside(idle, f"echo {word}"), words)) == words


@pytest.mark.parametrize("how", ["restart", "killed QEMU"])
def test_paused_camera_restarts(store: Store, idle: VirtualCamera, how: str) -> None:
    wait_until_paused(store, idle)
    paused = require_camera(store, idle.name)
    RESTARTS[how](store, paused)
    wait_until(lambda: require_camera(store, idle.name).restarts > paused.restarts, "it has restarted")
    assert inside(idle, "echo here") == "here\n"


@pytest.mark.parametrize("seconds", [2, pytest.param(125, marks=pytest.mark.matrix)])
def test_connection_on_which_nothing_is_said_is_use(idle: VirtualCamera, seconds: int) -> None:
    assert inside(idle, f"sleep {seconds}; echo slept") == "slept\n"


@pytest.mark.matrix
def test_app_that_prints_nothing_for_two_minutes_is_neither_cut_off_nor_paused(
    store: Store, idle: VirtualCamera, tmp_path: Path
) -> None:
    script = tmp_path / "silent.py"
    script.write_text("import time\n\nprint('began', flush=True)\ntime.sleep(125)\nprint('ended')\n")
    paused = []

    def has_ended(command: Running) -> bool:
        paused.append(require_camera(store, idle.name).paused)
        return command.process.poll() is not None

    with running("run", "--device", idle.name, script, env=command_environment()) as command:
        command.await_output("began")
        wait_until(lambda: has_ended(command), "it has ended", seconds=300)
        assert command.finish() == 0, command.text
        assert command.out == b"began\nended\n"
    assert not any(paused)


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
    [pytest.param(how, marks=pytest.mark.matrix) if how not in ("restart", "reboot") else how for how in RESTARTS],
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
