"""The supervisor of one virtual camera: the parent process of QEMU, which runs as long as the camera does.

    python -m incamera.virtual.supervisor

It reads a `SupervisorRequest` as a line of JSON from standard input, and writes the result as a line of JSON to
standard output. Until the process that started it answers `keep`, it ends with that process. When the supervisor ends,
even when it is killed, the kernel ends QEMU. When the camera switches itself off, the supervisor removes the camera's
folder and ends, too. When QEMU ends otherwise, it starts QEMU again, with the same disks. SIGUSR1 restarts the camera
as `reboot` does, SIGUSR2 as a power cut.

It has few imports, since users wait for it at every start of a camera.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Any

from incamera.errors import DeviceError
from incamera.proc import detach_from_parent
from incamera.virtual.agreed import PORT_NAMES, POWER_CUT, RECORD, RESTART, SCENE, UPGRADE, UPGRADED
from incamera.virtual.camera_port import CameraPort
from incamera.virtual.guest_link import UpgradeRefused
from incamera.virtual.machine import SIGNALS, Machine, running_machine
from incamera.virtual.monitor import QemuCrashed
from incamera.virtual.supervisor_request import SupervisorRequest, Upgrade
from incamera.virtual.watch import Ends, StarterGone, Stop, Watch

_TAIL_BYTES = 4000
_SSH_PORT = 22
_REBOOT_SECONDS = 20
_ANSWER_SECONDS = 90
# A camera whose QEMU crashes so often, each time so soon after it woke up, is not started again.
_STABLE_AFTER_SECONDS = 10
_MOST_FAILURES = 5


class _End(StrEnum):
    """How a camera has ended."""

    off = "off"
    reboot = "reboot"


# By the reason that QEMU gives.
_ENDS = {"guest-shutdown": _End.off, "guest-reset": _End.reboot}


class _Supervisor:
    def __init__(self, request: SupervisorRequest) -> None:
        self.request = request
        self.watch = Watch()
        self.watch.processes[sys.stdin.fileno()] = Ends.starter
        if request.owner is not None:
            try:
                self.watch.processes[os.pidfd_open(request.owner)] = Ends.owner
            except ProcessLookupError:
                raise Stop from None

    def save(self) -> None:
        """Boot the camera and save its state. Raises DeviceError when that fails, Stop when it is to be stopped."""
        request = self.request
        state = os.open(request.state, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with self.watch.within(request.timeout), running_machine(request, self.watch, state=None) as machine:
            machine.save(state)
        _report({"saved": True})

    def await_keep(self) -> None:
        """Wait until the starter says `keep`. Raises Stop when it says something else, or ends."""
        starter = sys.stdin.fileno()
        del self.watch.processes[starter]
        with self.watch.within(self.request.timeout):
            self.watch.wait(starter)
        if not os.read(starter, 64).startswith(b"keep"):
            raise Stop
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(null, standard)


class _Camera:
    """The camera that a supervisor runs, over all its restarts. Raises DeviceError and Stop."""

    def __init__(self, supervisor: _Supervisor) -> None:
        self.supervisor = supervisor
        self.request = supervisor.request
        self.watch = supervisor.watch
        self.ports = {port: CameraPort(speaks_first=port == _SSH_PORT) for port in self.request.ports}
        self.watch.ports = list(self.ports.values())
        self.found: dict[str, Any] = {"pid": os.getpid(), "restarts": 0, "used_by": None}
        self.found |= {PORT_NAMES[port]: own.number for port, own in self.ports.items()}
        self.woke: float | None = None
        # Of a camera that is being upgraded: the request of before.
        self.before: SupervisorRequest | None = None
        # A handler of signals writes to it which restart is asked for.
        self.asked, self.ask = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (RESTART, POWER_CUT):
            signal.signal(number, self._ask_for_restart)

    @property
    def is_first(self) -> bool:
        """Whether the camera has not been awake yet."""
        return "seconds" not in self.found

    def run(self) -> None:
        """Run the camera until it switches itself off."""
        try:
            self._run()
        finally:
            # Before the camera's folder goes: who sees that it is gone can rely on the ports being free.
            for port in self.ports.values():
                port.release()

    def _run(self) -> None:
        failures = 0
        while failures < _MOST_FAILURES:
            self.woke = None
            self._take_upgrade()
            try:
                if self._run_once() is _End.off:
                    return
                failures = 0
            except DeviceError as error:
                if self.is_first:
                    raise
                if self.before is not None:
                    self._roll_back(error)
                    continue
                is_stable = self.woke is not None and time.monotonic() - self.woke > _STABLE_AFTER_SECONDS
                failures = 0 if is_stable else failures + 1
            self.found["restarts"] += 1
        raise DeviceError(f"QEMU crashed {failures} times soon after its start")

    def _take_upgrade(self) -> None:
        """Become what the file UPGRADE asks for, if it is there. The disks are kept as they are, for a roll-back."""
        path = self.request.folder / UPGRADE
        try:
            upgrade = Upgrade.parse(path.read_bytes())
        except FileNotFoundError:
            return
        path.unlink()
        for disk in self.request.disks:
            shutil.copyfile(disk.path, _kept(disk.path))
        self.before, self.request = self.request, upgrade.apply(self.request)

    def _roll_back(self, error: DeviceError) -> None:
        """Make the camera what it was before the upgrade, which has failed with *error*."""
        if self.before is None:
            return
        self.request, self.before = self.before, None
        for disk in self.request.disks:
            _kept(disk.path).replace(disk.path)
        self._write(UPGRADED, {"refused": str(error), "crashed": not isinstance(error, UpgradeRefused)})

    def _finish_upgrade(self) -> None:
        if self.before is not None:
            self.before = None
            for disk in self.request.disks:
                _kept(disk.path).unlink(missing_ok=True)
            self._write(UPGRADED, {"refused": None})

    def _run_once(self) -> _End:
        """Start QEMU, and return how the camera has ended. Raises DeviceError when QEMU has, or the camera hangs."""
        state = os.open(self.request.state, os.O_RDONLY)
        with running_machine(self.request, self.watch, state=state) as machine:
            try:
                self._wake(machine)
                self._supervise(machine)
            except QemuCrashed:
                end = _ENDS.get(machine.shutdown_reason())
                if end is None or self.is_first:
                    raise
                return end
            finally:
                self._close_ports()
        return _End.reboot

    def _open_ports(self, machine: Machine) -> None:
        for port, own in self.ports.items():
            own.open(machine.ports[port])

    def _close_ports(self) -> None:
        for port in self.ports.values():
            port.close()

    @property
    def _has_connections(self) -> bool:
        return any(port.has_connections for port in self.ports.values())

    @property
    def _last_use(self) -> float:
        return max(port.last_use for port in self.ports.values())

    def _wake(self, machine: Machine) -> None:
        request = self.request
        with self.watch.within(request.timeout):
            machine.wake(request.host_name, request.mac, request.settings, request.devices)
            if scene := self._scene_number():
                machine.link.set_scene(scene)
            if request.speaks_ssh:
                self._read_banner(machine.ports[_SSH_PORT])
        self.woke = time.monotonic()
        self._finish_upgrade()
        self._open_ports(machine)
        is_first = self.is_first
        if is_first:
            self.found["seconds"] = round(time.monotonic() - request.started, 3)
        self._record(qemu_pid=machine.pid, paused=False, used_by=None)
        if is_first:
            _report({"camera": self._description()})
            self.supervisor.await_keep()

    def _scene_number(self) -> int:
        """Return the number of the video that the camera sees; 0 if it is the known scene. A restart keeps it."""
        try:
            return int(json.loads((self.request.folder / SCENE).read_bytes())["number"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _description(self) -> dict[str, Any]:
        return {**(self.request.record or {}), **self.found}

    def _record(self, **changes: object) -> None:
        self.found |= changes
        try:
            self._write(RECORD, self._description())
        except OSError:
            if not (self.request.folder / RECORD).exists():  # a full disk does not end a camera that runs
                raise

    def _write(self, name: str, document: dict[str, Any]) -> None:
        temporary = self.request.folder / f"{name}.new"
        temporary.write_text(json.dumps(document, indent=1) + "\n")
        temporary.replace(self.request.folder / name)

    def _read_banner(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=self.request.timeout) as connection:
            self.watch.wait(connection.fileno())
            if not connection.recv(64).startswith(b"SSH-"):
                raise DeviceError("the camera's SSH port is open, but no SSH server answers there")

    def _supervise(self, machine: Machine) -> None:
        """Pause the camera when nobody uses it. Returns when it is to be restarted. Raises QemuCrashed when it ends."""
        checked = time.monotonic()
        while True:
            check = max(checked, self._last_use) + self.request.pause_after
            until = None if self._has_connections else check
            ready = self.watch.poll(self.asked, machine.monitor.fileno(), until=until)
            if machine.monitor.fileno() in ready:
                machine.monitor.take_events()
            if self.asked in ready:
                self._take_down(machine)
                return
            if until is not None and time.monotonic() >= until and not self._has_connections:
                asked = time.monotonic()
                use = self._find_use(machine)
                if use != self.found["used_by"]:
                    self._record(used_by=use)
                # A connection may have come meanwhile.
                if use is None and not self._has_connections and self._last_use < asked:
                    self._pause(machine)
                checked = time.monotonic()

    def _find_use(self, machine: Machine) -> str | None:
        with self._tolerating_silence():
            return machine.link.find_use()
        return "it does not answer"

    @contextmanager
    def _tolerating_silence(self) -> Iterator[None]:
        """End the block when the camera does not answer in time: it may be busy, as may this computer."""
        try:
            with self.watch.within(_ANSWER_SECONDS):
                yield
        except QemuCrashed:
            raise
        except DeviceError:
            pass

    def _pause(self, machine: Machine) -> None:
        """Pause the camera until the next connection, or until it is to be restarted."""
        self._close_ports()
        machine.pause()
        self._record(paused=True)
        while not self.watch.poll(self.asked, *(port.fileno() for port in self.ports.values())):
            pass
        with self._tolerating_silence():
            machine.unpause()
        self._open_ports(machine)
        self._record(paused=False)

    def _take_down(self, machine: Machine) -> None:
        """Shut the camera down as `reboot` does, or return at once when a power cut is asked for."""
        asked = os.read(self.asked, 64)
        with suppress(DeviceError), self.watch.within(_REBOOT_SECONDS):
            if POWER_CUT not in asked:
                machine.link.reboot()
            while POWER_CUT not in asked:
                self.watch.wait(self.asked)
                asked = os.read(self.asked, 64)

    def _ask_for_restart(self, number: int, _frame: FrameType | None) -> None:
        with suppress(BlockingIOError):
            os.write(self.ask, bytes([number]))


def _kept(disk: Path) -> Path:
    """Return where a disk is kept as it was before an upgrade."""
    return disk.with_name(f"{disk.name}.before")


def _report(answer: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _tail(folder: Path) -> str:
    lines = []
    for name in ("qemu.log", "console.log"):
        with suppress(OSError):
            lines += read_end(folder / name, _TAIL_BYTES).splitlines()[-12:]
    return "\n".join(lines)


def read_end(path: Path, size: int) -> str:
    """Return the last *size* bytes of a log, which may be of any length. Raises OSError."""
    with path.open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - size))
        return stream.read(size).decode("utf-8", "replace")


def _read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(descriptor, 65536)
        if not data:
            raise Stop
        line += data
    return line


def main() -> int:
    detach_from_parent()
    for number in SIGNALS:
        signal.signal(number, _stop)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        request = SupervisorRequest.parse(_read_line(sys.stdin.fileno()))
    except Stop:
        return 0
    try:
        supervisor = _Supervisor(request)
        if request.save:
            supervisor.save()
        else:
            _Camera(supervisor).run()
    except StarterGone:
        if request.discard is not None:
            shutil.rmtree(request.discard, ignore_errors=True)
    except Stop:
        pass
    except Exception as error:
        hint = getattr(error, "hint", None)
        crashed = isinstance(error, QemuCrashed)
        _report({"error": str(error), "hint": hint, "tail": _tail(request.folder), "crashed": crashed})
        return 1
    finally:
        _ignore_signals()
        if not request.save:
            _remove(request.folder)
    return 0


def _remove(folder: Path) -> None:
    # Renamed first, so that the name is free at once, and a new camera of that name gets a folder of its own.
    renamed = folder.with_name(f".{folder.name}-{os.getpid()}")
    with suppress(OSError):
        folder.rename(renamed)
    shutil.rmtree(renamed, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
