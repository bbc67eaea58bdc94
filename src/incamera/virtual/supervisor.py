"""The supervisor of one virtual camera: the parent process of QEMU, which runs as long as the camera does.

    python -m incamera.virtual.supervisor

It reads a `SupervisorRequest` as a line of JSON from standard input, and writes the result as a line of JSON to
standard output. Until the process that started it answers `keep`, it ends with that process. When the supervisor ends,
even when it is killed, the kernel ends QEMU. When QEMU ends, the supervisor removes the camera's folder and ends, too.

It has few imports, since users wait for it at every start of a camera.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shlex
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from incamera.errors import DeviceError
from incamera.proc import detach_from_parent, minimal_environment, start_tied
from incamera.virtual.console_log import ConsoleLog
from incamera.virtual.monitor import Monitor, QemuCrashed, parse_forwarded_port
from incamera.virtual.qemu import FORWARDS_FILE, RECORD, Disk, plan_host_options

_SSH_PORT = 22
_RELAY = str(Path(__file__).with_name("relay.py"))
_QUIT_TIMEOUT_SECONDS = 3
# What the camera's own program says over the serial line is shorter.
_LONGEST_WORD = 4096
_TAIL_BYTES = 4000


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisorRequest:
    """What a supervisor does: resume a camera and run it or, with `save`, boot one and save its state.

    `machine`: QEMU's command line, without the options of `plan_host_options`.
    `folder`: for logs, scratch files and the record; removed at the end, except with `save`.
    `state`: the file that is written with `save`, and else resumed from.
    `discard`: a folder that is removed when the starter is killed during `save`.
    `owner`: a process with which the camera ends.
    `record`: what the camera's record says, besides the port, the process ids and the time.
    `started`: when the caller began, in seconds of the monotonic clock.
    `timeout`: how long the camera may take to answer, in seconds.
    """

    machine: tuple[str, ...]
    folder: Path
    state: Path
    disks: tuple[Disk, ...]
    save: bool
    discard: Path | None = None
    host_name: str = ""
    mac: str = ""
    owner: int | None = None
    record: dict[str, Any] | None = None
    started: float = 0
    timeout: float = 90

    def dump(self) -> bytes:
        """Return the request as a line of JSON, which `parse` reads."""
        return json.dumps(asdict(self), default=str).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> SupervisorRequest:
        """Return the request in a *line* that `dump` has made."""
        table = json.loads(line)
        return cls(
            **table
            | {
                "machine": tuple(table["machine"]),
                "folder": Path(table["folder"]),
                "state": Path(table["state"]),
                "discard": Path(table["discard"]) if table["discard"] else None,
                "disks": tuple(Disk(**disk | {"path": Path(disk["path"])}) for disk in table["disks"]),
            }
        )


class _Stop(BaseException):
    """The supervisor ends without an error: because of a signal, or since the starter or the owner has ended."""


class _StarterGone(_Stop):
    """The starter was killed, so it does not clean up."""


class _Supervisor:
    def __init__(self, request: SupervisorRequest) -> None:
        self.request = request
        self.deadline: float | None = time.monotonic() + request.timeout
        self.watched: dict[int, str] = {}
        self.console: ConsoleLog | None = None

    def run(self) -> None:
        """Start QEMU, and wait until it ends. Raises DeviceError when that fails, _Stop when it is to be stopped."""
        request = self.request
        self.watched[sys.stdin.fileno()] = "starter"
        if request.owner is not None:
            try:
                self.watched[os.pidfd_open(request.owner)] = "owner"
            except ProcessLookupError:
                raise _Stop from None
        monitor_end, monitor_remote = socket.socketpair()
        link_end, link_remote = socket.socketpair()
        console_end, console_remote = socket.socketpair()
        words = list(request.machine) + plan_host_options(
            console=console_remote.fileno(),
            link=link_remote.fileno(),
            monitor=monitor_remote.fileno(),
            disks=list(request.disks),
            relay=shlex.join([sys.executable, "-IS", _RELAY, str(request.folder / FORWARDS_FILE)]),
        )
        self.console = console = ConsoleLog(request.folder / "console.log", console_end)
        passed = [link_remote.fileno(), monitor_remote.fileno(), console_remote.fileno()]
        state = os.open(request.state, os.O_WRONLY | os.O_CREAT | os.O_EXCL if request.save else os.O_RDONLY, 0o600)
        if not request.save:
            # Without this, QEMU keeps announcing the saved MAC address after the camera has got its own.
            words += ["-incoming", f"fd:{state}", "-global", "migration.announce-rounds=0"]
            passed.append(state)
        # QEMU's scratch files are in the camera's folder, and are removed with it.
        env = minimal_environment(TMPDIR=str(request.folder))
        qemu = start_tied(words, purpose="start QEMU", log=request.folder / "qemu.log", env=env, pass_fds=passed)
        try:
            self.watched[os.pidfd_open(qemu.pid)] = "qemu"
            monitor_remote.close()
            link_remote.close()
            console_remote.close()
            monitor = Monitor(monitor_end, self.wait)
            if request.save:
                self._save(monitor, link_end, state)
            else:
                os.close(state)
                self._resume(monitor, link_end, qemu.pid)
                self._supervise()
        finally:
            _ignore_signals()
            qemu.terminate()
            with suppress(Exception):
                qemu.wait(_QUIT_TIMEOUT_SECONDS)
            qemu.kill()
            qemu.wait()
            console.close()

    def wait(self, descriptor: int) -> None:
        """Wait until *descriptor* can be read; meanwhile, write what the camera prints on its console.

        Raises DeviceError when QEMU has ended or the time is up, _Stop when the supervisor is to end.
        """
        while not (ready := self._poll(descriptor)) and not self._is_late():
            pass
        for other, what in self.watched.items():
            if other in ready and other != descriptor:
                if what == "qemu":
                    raise QemuCrashed("QEMU ended")
                if what == "starter" and not os.read(other, 64):
                    raise _StarterGone
                raise _Stop
        if not ready or (self.deadline is not None and time.monotonic() > self.deadline):
            raise DeviceError(f"the camera did not answer within {self.request.timeout:.0f} s")

    def _poll(self, descriptor: int) -> set[int]:
        """Return which of *descriptor* and those watched can be read. Returns none when only the console printed."""
        poll = select.poll()
        for other in (descriptor, *self.watched):
            poll.register(other, select.POLLIN)
        if self.console is not None:
            poll.register(self.console, select.POLLIN)
        left = None if self.deadline is None else max(0, self.deadline - time.monotonic()) * 1000
        ready = {ready for ready, _ in poll.poll(left)}
        if self.console is not None and self.console.fileno() in ready:
            ready.remove(self.console.fileno())
            if not self.console.take():
                self.console = None
        return ready

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _read_word(self, link: socket.socket) -> str:
        line = b""
        while not line.endswith(b"\n"):
            self.wait(link.fileno())
            data = link.recv(1)
            if not data:
                raise QemuCrashed("QEMU closed the line to the camera")
            line += data
            if len(line) > _LONGEST_WORD:
                raise DeviceError("the camera sends a word without an end")
        return line.decode("utf-8", "replace").strip()

    def _save(self, monitor: Monitor, link: socket.socket, state: int) -> None:
        while self._read_word(link) != "ready":
            pass
        monitor.execute("getfd", descriptor=state, fdname="state")
        os.close(state)
        monitor.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40, "downtime-limit": 10_000})
        monitor.execute("migrate", uri="fd:state")
        while (status := monitor.query_status("query-migrate")) != "completed":
            if status in ("failed", "cancelled"):
                raise DeviceError("QEMU could not save the camera's state")
            time.sleep(0.02)
        monitor.execute("quit")
        self.deadline = time.monotonic() + _QUIT_TIMEOUT_SECONDS
        with suppress(DeviceError):  # QEMU has ended, so its disks are complete
            self.wait(link.fileno())
        _report({"saved": True})

    def _resume(self, monitor: Monitor, link: socket.socket, qemu: int) -> None:
        """Resume the camera, give it time, names and random numbers, and write its record once SSH answers."""
        port = parse_forwarded_port(monitor.execute_hmp("info usernet"), _SSH_PORT)
        if monitor.query_status("query-status") != "running":
            monitor.wait_for_event("RESUME")
        request = self.request
        link.sendall(f"wake {round(time.time())} {request.host_name} {request.mac} {secrets.token_hex(64)}\n".encode())
        while self._read_word(link) != "awake":
            pass
        self._read_banner(port)
        seconds = round(time.monotonic() - request.started, 3)
        found = {"ssh_port": port, "pid": os.getpid(), "qemu_pid": qemu, "seconds": seconds}
        record = json.dumps({**(request.record or {}), **found}, indent=1)
        temporary = request.folder / f"{RECORD}.new"
        temporary.write_text(record + "\n")
        temporary.replace(request.folder / RECORD)
        _report({"camera": json.loads(record)})

    def _read_banner(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=self.request.timeout) as connection:
            self.wait(connection.fileno())
            if not connection.recv(64).startswith(b"SSH-"):
                raise DeviceError("the camera's SSH port is open, but no SSH server answers there")

    def _supervise(self) -> None:
        """Wait until the starter says `keep`, then until QEMU ends."""
        starter = sys.stdin.fileno()
        self.wait(starter)
        if not os.read(starter, 64).startswith(b"keep"):
            raise _Stop
        del self.watched[starter]
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(null, standard)
        self.deadline = None
        # This pipe never gets any data, so only QEMU, the owner or a signal can end the wait.
        never, other = os.pipe()
        with suppress(DeviceError):  # QEMU has ended: the camera was switched off
            self.wait(never)
        os.close(other)


def _report(answer: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
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
            raise _Stop
        line += data
    return line


def main() -> int:
    detach_from_parent()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        request = SupervisorRequest.parse(_read_line(sys.stdin.fileno()))
    except _Stop:
        return 0
    try:
        _Supervisor(request).run()
    except _StarterGone:
        if request.discard is not None:
            shutil.rmtree(request.discard, ignore_errors=True)
    except _Stop:
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
