"""Run installed apps, each as its own user in its folder, as systemd does in a camera."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.axis_os.applications import Code, Installed, Refused, RunMode

if TYPE_CHECKING:
    from incamera.axis_os.system_log import SystemLog

ADDON_GID = 1000
# A camera of ours waits less long than systemd's 90 s.
STOP_SECONDS = 10.0
# systemd's: how soon an app that has ended is started again, and how many starts in how many seconds are too many.
_PAUSE_SECONDS = 0.1
_MOST_STARTS, START_LIMIT_SECONDS = 5, 10.0
_LONGEST_LINE = 2048
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Runner:
    """Runs one app until it is stopped. *account* returns the arguments of Popen that make the process its user's."""

    def __init__(self, app: Installed, folder: Path, log: SystemLog, account: dict[str, object]) -> None:
        self.app = app
        self._folder = folder
        self._log = log
        self._account = account
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._starts: list[float] = []
        self._unit = f"sdk{app.name}.service"

    @property
    def is_running(self) -> bool:
        with self._lock:
            return self._process is not None

    def start(self) -> None:
        """Start the app. Raises Refused when its program cannot be started."""
        with self._lock:
            self._stopping = False
            self._starts.clear()
            self._process = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        self._starts.append(time.monotonic())
        program = self._folder / self.app.name
        environment = {
            "PATH": _PATH,
            "HOME": str(self._folder),
            "USER": self.app.user,
            "LOGNAME": self.app.user,
            "SHELL": "/bin/sh",
            "G_SLICE": "always-malloc",
            # For the stand-ins of the camera's libraries, which no camera has.
            "INCAMERA_RESOURCES": " ".join(self.app.resources),
        }
        if self.app.fast_cgi:
            environment["FCGI_SOCKET_NAME"] = f"/run/axis-fcgi/{self.app.name}.sock"
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [str(program), *_split(self.app.options)],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o022,
                **self._account,  # type: ignore[call-overload]
            )
        except OSError as error:
            self._log.write(
                f"({self.app.name})", f"{self._unit}: Failed to execute {program}: {error.strerror}", level="ERR"
            )
            step = f"{self._unit}: Failed at step EXEC spawning {program}: {error.strerror}"
            self._log.write(f"({self.app.name})", step, level="ERR")
            self._systemd(f"{self._unit}: Failed with result 'exit-code'.", level="WARNING")
            raise Refused(Code.not_started, f"{self.app.name} could not be started: {error.strerror}") from None
        self._systemd(f"Started {self._unit} - {self.app.title}.")
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()
        return process

    def _systemd(self, text: str, *, level: str = "INFO") -> None:
        self._log.write("systemd", text, pid=1, level=level)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        reader = threading.Thread(target=self._copy_output, args=(process,), daemon=True)
        reader.start()
        code = process.wait()
        # What the app has left behind ends with it, as the unit's control group does.
        _kill(process.pid, signal.SIGKILL)
        reader.join(1.0)
        with self._lock:
            if self._stopping or self._process is not process:
                return
            how = f"code=exited, status={code}" if code >= 0 else f"code=killed, status={-code}/{_signal_name(-code)}"
            if code:
                self._systemd(f"{self._unit}: Main process exited, {how}", level="NOTICE")
                kind = "exit-code" if code > 0 else "signal"
                self._systemd(f"{self._unit}: Failed with result '{kind}'.", level="WARNING")
            else:
                self._systemd(f"{self._unit}: Deactivated successfully.")
            self._process = None
            if not RunMode(self.app.run_mode).restarts(code):
                return
        time.sleep(_PAUSE_SECONDS)
        with self._lock:
            if self._stopping or self._process is not None:
                return
            self._starts = [one for one in self._starts if time.monotonic() - one < START_LIMIT_SECONDS]
            if len(self._starts) >= _MOST_STARTS:
                self._systemd(f"{self._unit}: Start request repeated too quickly.", level="WARNING")
                self._systemd(f"Failed to start {self._unit} - {self.app.title}.", level="ERR")
                return
            with suppress(Refused):
                self._process = self._launch()

    def _copy_output(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            while line := stream.readline(_LONGEST_LINE):
                self._log.write(self.app.name, line.decode("utf-8", "replace").rstrip("\r\n"), pid=process.pid)

    def stop(self) -> bool:
        """End the app: SIGTERM, and SIGKILL after a while. Returns whether it ran."""
        with self._lock:
            process, self._process, self._stopping = self._process, None, True
        if process is None:
            return False
        self._systemd(f"Stopping {self._unit} - {self.app.title}...")
        _kill(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._systemd(f"{self._unit}: State 'stop-sigterm' timed out. Killing.", level="WARNING")
            _kill(process.pid, signal.SIGKILL)
            process.wait()
        _kill(process.pid, signal.SIGKILL)
        self._systemd(f"Stopped {self._unit} - {self.app.title}.")
        return True


def _split(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError:
        return options.split()


def _kill(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def run_script(
    script: Path, folder: Path, account: dict[str, object], seconds: float, say: Callable[[str], None]
) -> int | None:
    """Run a package's *script* in *folder*, and return its exit code, None when it took more than *seconds*."""
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [str(script)],
            cwd=folder,
            env={"PATH": _PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **account,  # type: ignore[call-overload]
        )
    except OSError as error:
        say(f"cannot run {script.name}: {error.strerror}")
        return 127
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    for line in output.decode("utf-8", "replace").splitlines()[:100]:
        say(line)
    return process.returncode
