"""The messages of the edit loop."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from incamera.project.syntax import Fault, describe_fault
from incamera.units import format_bytes, format_count
from incamera_agent.wire.protocol import EndReason, signal_exit_code

if TYPE_CHECKING:
    from incamera.context import Reporter
    from incamera.device.live_sync import Refused
    from incamera.device.run import RunEnd
    from incamera.project.watching import AppFile


# Bytes left on the device below which we warn.
_LOW_MEMORY = 16 << 20
# With these a program is told to end.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
# The exit codes that stand for a signal.
_KILLED = range(signal_exit_code(1), signal_exit_code(signal.NSIG))


def exit_code(message: Mapping[str, Any]) -> int:
    code, number = message.get("code"), message.get("signal")
    return signal_exit_code(number) if number else code or 0


def describe_end(message: Mapping[str, Any], crash: str = "") -> str:
    """Return the message for a run that ended by itself. *crash* is where in C code it crashed, "" if unknown."""
    seconds, peak, killed = message.get("seconds"), message.get("peak"), message.get("killed")
    number, reason = message.get("signal"), message.get("reason")
    if reason == EndReason.MEMORY_LIMIT:
        how = "has reached its memory limit and was ended"
    elif number:
        how = f"was killed by {_describe_killer(number, reason)}{_after(crash)}"
    else:
        how = f"has ended with exit code {exit_code(message)}"
    details = [f"after {seconds:.1f} s"] if isinstance(seconds, int | float) else []
    details += [f"at most {format_bytes(peak)}"] if peak else []
    details += [f"ended {format_count(killed, 'process')} that it had left behind"] if killed else []
    return f"the app {how} ({', '.join(details)}); waiting for changes" if details else f"the app {how}"


def describe_kill(message: Mapping[str, Any], crash: str = "") -> str | None:
    """Return what killed the app, in a plain run; None where it ended by itself or was told to end."""
    number, peak = message.get("signal"), message.get("peak")
    if not number or number in _ENDING or message.get("reason") == EndReason.STOPPED:
        return None
    used = f"; it used at most {format_bytes(peak)}" if peak else ""
    return f"the app was killed by {_describe_killer(number, message.get('reason'))}{_after(crash)}{used}"


def _after(crash: str) -> str:
    return f" {crash}" if crash else ""


def describe_killed_run(end: RunEnd) -> str | None:
    """Return what killed an app that ran without the agent; None where it ended by itself or was told to end.

    The guard looks at the app's memory twice a second, so the app may have used more.
    """
    number = end.code - signal_exit_code(0)
    if end.code not in _KILLED or number in _ENDING:
        return None
    reason = EndReason.OUT_OF_MEMORY if end.out_of_memory and number == signal.SIGKILL else None
    used = f"; it used {format_bytes(end.peak)} or more" if end.peak else ""
    return f"the app was killed by {_describe_killer(number, reason)}{_after(end.crash)}{used}"


def _describe_killer(number: int, reason: object) -> str:
    if reason == EndReason.OUT_OF_MEMORY:
        return "the camera's kernel, because no memory was left"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe_update(paths: Sequence[str], what: str, sending: float, starting: float) -> str:
    """Return the message for a change of *paths* that was sent in *sending* seconds and took effect in *starting*."""
    return f"{describe_paths(paths)}: sent in {sending:.2f} s, {what} in {starting:.2f} s"


def describe_paths(paths: Sequence[str]) -> str:
    if not paths:
        return "settings"
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def describe_refusal(refused: Refused, wanted: Mapping[str, AppFile]) -> str:
    """Return what Python would print of the syntax error, with the path of the file here. The old app goes on."""
    file = wanted.get(refused.path)
    fault = Fault(message=refused.message, line=refused.line, column=refused.column, text=refused.text)
    source = file.source if file else refused.path
    return describe_fault(fault, refused.path, source, "nothing was changed in the camera")


class MemoryMessages:
    """Reports the device's memory: once in a session, and again when little is left."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._reported = self._reported_low = False

    def on_message(self, message: Mapping[str, Any]) -> None:
        free, run = message.get("free"), message.get("run")
        if not run or free is None:  # nothing runs, or not for long
            return
        low = free < _LOW_MEMORY
        if self._reported and not (low and not self._reported_low):
            return
        self._reported, self._reported_low = True, low
        fork_server = message.get("fork_server")
        parts = [f"fork server {format_bytes(fork_server)}"] if fork_server is not None else []
        parts += [f"app {format_bytes(run)}", f"{format_bytes(free)} free in the camera"]
        (self._reporter.warn if low else self._reporter.info)(f"memory: {', '.join(parts)}")
