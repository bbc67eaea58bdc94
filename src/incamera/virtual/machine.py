"""One run of QEMU: from the start of its process until that has ended."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.proc import minimal_environment, start_tied
from incamera.virtual.console_log import ConsoleLog
from incamera.virtual.guest_link import GuestLink
from incamera.virtual.host_line import HOST_PROCESSES, HostLine
from incamera.virtual.monitor import Monitor, parse_forwarded_port
from incamera.virtual.qemu import FORWARDS_FILE, plan_host_options
from incamera.virtual.watch import Ends

if TYPE_CHECKING:
    from incamera.virtual.supervisor_request import SupervisorRequest
    from incamera.virtual.watch import Watch

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_RELAY = str(Path(__file__).with_name("relay.py"))
_QUIT_TIMEOUT_SECONDS = 3


class Machine:
    """A running QEMU. `pid`: its process. `ports`: where it forwards the camera's, once that is awake.

    All methods raise QemuCrashed when QEMU has ended, and what `Watch.wait` raises.
    """

    def __init__(self, monitor: Monitor, link: GuestLink, pid: int, watch: Watch, forwarded: Iterable[int]) -> None:
        self.monitor = monitor
        self.link = link
        self.pid = pid
        self.ports: dict[int, int] = {}
        self._watch = watch
        self._forwarded = tuple(forwarded)

    def save(self, state: int) -> None:
        """Wait until the camera has booted, write its state to the descriptor *state*, which is closed; end QEMU."""
        self.link.wait_until_ready()
        self.monitor.execute("getfd", descriptor=state, fdname="state")
        os.close(state)
        self.monitor.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40, "downtime-limit": 10_000})
        self.monitor.execute("migrate", uri="fd:state")
        while (status := self.monitor.query_status("query-migrate")) != "completed":
            if status in ("failed", "cancelled"):
                raise DeviceError("QEMU could not save the camera's state")
            time.sleep(0.02)
        self.monitor.execute("quit")
        with suppress(DeviceError), self._watch.within(_QUIT_TIMEOUT_SECONDS):
            while True:  # until QEMU has ended, so that its disks are complete
                self.monitor.take_events()
                self._watch.wait(self.monitor.fileno())

    def wake(self, host_name: str, mac: str, settings: str, devices: str) -> None:
        """Wait until the camera is resumed, and wake it up."""
        shown = self.monitor.execute_hmp("info usernet")
        self.ports = {port: parse_forwarded_port(shown, port) for port in self._forwarded}
        if self.monitor.query_status("query-status") != "running":
            self.monitor.wait_for_event("RESUME")
        self.link.wake(host_name, mac, settings, devices)

    def pause(self) -> None:
        self.monitor.execute("stop")

    def unpause(self) -> None:
        """Let the camera run on, and put its clock right: it has stood still."""
        self.monitor.execute("cont")
        self.link.set_clock()

    def shutdown_reason(self) -> str:
        """Return QEMU's reason for its end: `guest-shutdown`, `guest-reset`; an empty text when it has crashed."""
        with suppress(DeviceError):
            self.monitor.take_events()
        return str((self.monitor.find_event("SHUTDOWN") or {}).get("reason", ""))


@contextmanager
def running_machine(request: SupervisorRequest, watch: Watch, *, state: int | None) -> Iterator[Machine]:
    """Start QEMU, and yield it. At the end of the block it has ended.

    *state*: the descriptor of a saved state, which the camera resumes and which is closed; without one, it boots.
    Raises DeviceError when QEMU does not start.
    """
    monitor_end, monitor_remote = socket.socketpair()
    link_end, link_remote = socket.socketpair()
    console_end, console_remote = socket.socketpair()
    lines = {other.name: HostLine(other, request.folder, request.environment) for other in HOST_PROCESSES}
    listeners = {name: line.listen() for name, line in lines.items()}
    words = list(request.machine) + plan_host_options(
        console=console_remote.fileno(),
        link=link_remote.fileno(),
        monitor=monitor_remote.fileno(),
        host_lines={name: listener.fileno() for name, listener in listeners.items()},
        disks=list(request.disks),
        ports=request.ports,
        relay=shlex.join([sys.executable, "-IS", _RELAY, str(request.folder / FORWARDS_FILE)]),
    )
    remotes = (link_remote, monitor_remote, console_remote, *listeners.values())
    passed = [remote.fileno() for remote in remotes]
    if state is not None:
        # Without this, QEMU keeps announcing the saved MAC address after the camera has got its own.
        words += ["-incoming", f"fd:{state}", "-global", "migration.announce-rounds=0"]
        passed.append(state)
    # QEMU's temporary files are in the camera's folder, and are removed with it.
    env = minimal_environment(TMPDIR=str(request.folder))
    with monitor_end, link_end:
        try:
            qemu = start_tied(words, purpose="start QEMU", log=request.folder / "qemu.log", env=env, pass_fds=passed)
        finally:
            for remote in remotes:
                remote.close()
            if state is not None:
                os.close(state)
        watch.console = console = ConsoleLog(request.folder / "console.log", console_end)
        process = os.pidfd_open(qemu.pid)
        watch.processes[process] = Ends.qemu
        try:
            with watch.within(request.timeout):
                monitor = Monitor(monitor_end, watch.wait)
            if state is not None:
                for line in lines.values():
                    line.connect()
                watch.host_lines = list(lines.values())
            yield Machine(monitor, GuestLink(link_end, watch.wait), qemu.pid, watch, request.ports)
        finally:
            with _signals_blocked():
                qemu.terminate()
                with suppress(Exception):
                    qemu.wait(_QUIT_TIMEOUT_SECONDS)
                qemu.kill()
                qemu.wait()
                del watch.processes[process]
                os.close(process)
                watch.console, watch.host_lines = None, []
                console.close()
                for line in lines.values():
                    line.close()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let no signal end the block; one that arrives meanwhile is handled afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
