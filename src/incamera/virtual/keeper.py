"""The process that keeps one virtual camera: QEMU's parent, as long as the camera lives.

    python -m incamera.virtual.keeper

A line of JSON on standard input says what to do (`Order`), one on standard output how it went. Until the starter
answers `keep`, its end is ours. QEMU ends with us, by the kernel's hand if need be; with QEMU go its files.
Imports are few, since this stands between a user and their camera.
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
from incamera.virtual.monitor import Monitor, QemuCrashed, parse_forwarded_port
from incamera.virtual.qemu import SERVICES_FILE, Disk, plan_surroundings

RECORD = "camera.json"
_SSH_PORT = 22
_RELAY = str(Path(__file__).with_name("relay.py"))
_ENDS_WITHIN_SECONDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a keeper is to do.

    machine: QEMU's command line, but for what ties it to the host.
    folder: for logs, scratch files and the record; removed at the end, unless *save*.
    state: to be written when *save*, else resumed from.
    litter: removed when the starter is killed while we *save*.
    record: what the record says besides the keeper's own findings.
    started: when the caller began, by the monotonic clock.
    patience: seconds until the camera must answer.
    """

    machine: tuple[str, ...]
    folder: Path
    state: Path
    disks: tuple[Disk, ...]
    save: bool
    litter: Path | None = None
    host_name: str = ""
    mac: str = ""
    owner: int | None = None
    record: dict[str, Any] | None = None
    started: float = 0
    patience: float = 30

    def dump(self) -> bytes:
        return json.dumps(asdict(self), default=str).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Order:
        table = json.loads(line)
        return cls(
            **table
            | {
                "machine": tuple(table["machine"]),
                "folder": Path(table["folder"]),
                "state": Path(table["state"]),
                "litter": Path(table["litter"]) if table["litter"] else None,
                "disks": tuple(Disk(**disk | {"path": Path(disk["path"])}) for disk in table["disks"]),
            }
        )


class _Stop(BaseException):
    """Time to end, and nobody's fault: a signal, the starter or the owner is gone."""


class _StarterGone(_Stop):
    """The starter died without a word, so that nobody else cleans up."""


class _Keeper:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.deadline: float | None = time.monotonic() + order.patience
        self.watched: dict[int, str] = {}

    def run(self) -> None:
        """Start QEMU and keep it to its end."""
        order = self.order
        self.watched[sys.stdin.fileno()] = "starter"
        if order.owner is not None:
            try:
                self.watched[os.pidfd_open(order.owner)] = "owner"
            except ProcessLookupError:
                raise _Stop from None
        monitor_end, monitor_remote = socket.socketpair()
        link_end, link_remote = socket.socketpair()
        words = list(order.machine) + plan_surroundings(
            console=order.folder / "console.log",
            link=link_remote.fileno(),
            monitor=monitor_remote.fileno(),
            disks=list(order.disks),
            relay=shlex.join([sys.executable, "-IS", _RELAY, str(order.folder / SERVICES_FILE)]),
        )
        passed = [link_remote.fileno(), monitor_remote.fileno()]
        state = os.open(order.state, os.O_WRONLY | os.O_CREAT | os.O_EXCL if order.save else os.O_RDONLY, 0o600)
        if not order.save:
            # QEMU would announce the machine's first MAC address again and again, after the camera has got its own.
            words += ["-incoming", f"fd:{state}", "-global", "migration.announce-rounds=0"]
            passed.append(state)
        # QEMU's scratch files go where ours are, and with them.
        env = minimal_environment(TMPDIR=str(order.folder))
        qemu = start_tied(words, purpose="start QEMU", log=order.folder / "qemu.log", env=env, pass_fds=passed)
        try:
            self.watched[os.pidfd_open(qemu.pid)] = "qemu"
            monitor_remote.close()
            link_remote.close()
            monitor = Monitor(monitor_end, self.wait)
            if order.save:
                self._save(monitor, link_end, state)
            else:
                os.close(state)
                self._wake(monitor, link_end, qemu.pid)
                self._keep()
        finally:
            _ignore_signals()
            qemu.terminate()
            with suppress(Exception):
                qemu.wait(_ENDS_WITHIN_SECONDS)
            qemu.kill()
            qemu.wait()

    def wait(self, descriptor: int) -> None:
        """Wait until *descriptor* can be read. Raises DeviceError when QEMU ended or time is up, _Stop on a wish."""
        poll = select.poll()
        for other in (descriptor, *self.watched):
            poll.register(other, select.POLLIN)
        left = None if self.deadline is None else max(0, self.deadline - time.monotonic()) * 1000
        ready = {ready for ready, _ in poll.poll(left)}
        for other, what in self.watched.items():
            if other in ready and other != descriptor:
                if what == "qemu":
                    raise QemuCrashed("QEMU ended")
                if what == "starter" and not os.read(other, 64):
                    raise _StarterGone
                raise _Stop
        if not ready:
            raise DeviceError(f"the camera did not answer within {self.order.patience:.0f} s")

    def _read_word(self, link: socket.socket) -> str:
        line = b""
        while not line.endswith(b"\n"):
            self.wait(link.fileno())
            data = link.recv(1)
            if not data:
                raise QemuCrashed("QEMU closed the line to the camera")
            line += data
        return line.decode("utf-8", "replace").strip()

    def _save(self, monitor: Monitor, link: socket.socket, state: int) -> None:
        while self._read_word(link) != "ready":
            pass
        monitor.execute("getfd", descriptor=state, fdname="state")
        os.close(state)
        monitor.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40, "downtime-limit": 10_000})
        monitor.execute("migrate", uri="fd:state")
        while (status := monitor.execute("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled"):
                raise DeviceError("QEMU could not save the camera's state")
            time.sleep(0.02)
        monitor.execute("quit")
        self.deadline = time.monotonic() + _ENDS_WITHIN_SECONDS
        with suppress(DeviceError):  # it ended: its disks are complete
            self.wait(link.fileno())
        _report({"saved": True})

    def _wake(self, monitor: Monitor, link: socket.socket, qemu: int) -> None:
        port = parse_forwarded_port(monitor.execute_text("info usernet"), _SSH_PORT)
        if monitor.execute("query-status")["status"] != "running":
            monitor.wait_for_event("RESUME")
        order = self.order
        link.sendall(f"wake {round(time.time())} {order.host_name} {order.mac} {secrets.token_hex(64)}\n".encode())
        while self._read_word(link) != "awake":
            pass
        self._read_banner(port)
        seconds = round(time.monotonic() - order.started, 3)
        found = {"ssh_port": port, "pid": os.getpid(), "qemu_pid": qemu, "seconds": seconds}
        record = json.dumps({**(order.record or {}), **found}, indent=1)
        temporary = order.folder / f"{RECORD}.new"
        temporary.write_text(record + "\n")
        temporary.replace(order.folder / RECORD)
        _report({"camera": json.loads(record)})

    def _read_banner(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=self.order.patience) as connection:
            self.wait(connection.fileno())
            if not connection.recv(64).startswith(b"SSH-"):
                raise DeviceError("what answers in the camera is no SSH server")

    def _keep(self) -> None:
        """Wait for the starter's word, then for the end."""
        starter = sys.stdin.fileno()
        self.wait(starter)
        if not os.read(starter, 64).startswith(b"keep"):
            raise _Stop
        del self.watched[starter]
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(nowhere, standard)
        self.deadline = None
        # Nothing more is read from the descriptor given here: only the watched ones can end this.
        never, other = os.pipe()
        with suppress(DeviceError):  # QEMU ended by itself: the camera was switched off
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
            lines += (folder / name).read_text("utf-8", "replace").splitlines()[-12:]
    return "\n".join(lines)


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
        order = Order.parse(_read_line(sys.stdin.fileno()))
    except _Stop:
        return 0
    try:
        _Keeper(order).run()
    except _StarterGone:
        if order.litter is not None:
            shutil.rmtree(order.litter, ignore_errors=True)
    except _Stop:
        pass
    except Exception as error:
        _report({"error": str(error), "tail": _tail(order.folder), "crashed": isinstance(error, QemuCrashed)})
        return 1
    finally:
        _ignore_signals()
        if not order.save:
            _remove(order.folder)
    return 0


def _remove(folder: Path) -> None:
    # Renamed first: the name is free at once, and whoever takes it gets a folder that nobody is emptying.
    gone = folder.with_name(f".{folder.name}-{os.getpid()}")
    with suppress(OSError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
