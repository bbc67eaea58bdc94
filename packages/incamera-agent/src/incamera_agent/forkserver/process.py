"""The warm process: has imported what takes long, and from then on does nothing but fork.

Every run of the app is such a fork, so whatever an app does to its modules or its environment ends with it.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import time

from incamera_agent.forkserver import child
from incamera_agent.forkserver.become import Become
from incamera_agent.forkserver.spec import apply_environment
from incamera_agent.forkserver.title import show
from incamera_agent.processes import close_all_but, list_processes, offer_to_kernel, resident_bytes, send_signal
from incamera_agent.wire import packets as messages
from incamera_agent.wire.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Mapping, Optional

    from incamera_agent.wire.frames import Message

# Before anything of the camera's, but after the app.
_KERNEL_SCORE = 300


def main(line: int, printed: int, imports: List[str], environment: Mapping[str, Optional[str]]) -> int:
    """Import, then fork on demand, until the agent is gone. In a fork, raises Become.

    *printed*: where that goes which packages print when they are imported.
    """
    show(["-m", "incamera_agent", "--warm"])
    gc.collect()  # what the agent left behind
    for number in (1, 2):
        os.dup2(printed, number)
    close_all_but({0, 1, 2, line})
    # Imported here and not where it is first needed, which may be in another thread: it takes that for the main one.
    threading.main_thread()
    os.setsid()  # a signal to the agent's group is not meant for us
    offer_to_kernel(_KERNEL_SCORE)
    apply_environment(environment)
    for name in imports:
        messages.send(line, {"type": "importing", "name": name})
        told = _import(name)
        messages.send(line, told)
        if told["type"] == "threaded":
            os._exit(0)  # what waits for us is not to be forked from this: the agent makes another, without it
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # or each fork would write it once more
    # What is there now stays: the collector need not touch it, and so copy it, in each fork.
    gc.collect()
    gc.freeze()
    messages.send(line, {"type": "ready", "rss": resident_bytes(os.getpid())})
    _Forker(line).loop.run()
    return 0


def _import(name: str) -> Message:
    began = time.perf_counter()
    try:
        importlib.import_module(name)
    except BaseException as error:  # whatever a package does when it is imported, it isn't our end
        return {"type": "failed", "name": name, "text": f"{type(error).__name__}: {error}"}
    if len(sys._current_frames()) > 1:
        # A fork has only the thread that forked: what the other one held or had in hand would be lost in every run.
        return {"type": "threaded", "name": name}
    return {"type": "imported", "name": name, "seconds": time.perf_counter() - began}


class _Forker:
    def __init__(self, line: int) -> None:
        self._line = line
        self._runs: Dict[int, str] = {}
        os.set_blocking(line, True)
        self.loop = Loop()
        self.loop.watch(line, read=self._read)
        self.loop.on_signal(signal.SIGCHLD, self._reap)
        self.loop.on_signal(signal.SIGINT, _nothing)

    def _read(self) -> None:
        received = messages.receive(self._line)
        if received is None:
            self._end()
            return
        message, files = received
        told = {"run": message["run"], "start": message["start"]}
        try:
            pid = os.fork()
        except OSError as error:
            messages.send(self._line, {**told, "type": "unforked", "message": error.strerror})
        else:
            if pid == 0:
                self.loop.close()
                os.close(self._line)
                raise Become(lambda: child.main(message, files))
            self._runs[pid] = message["run"]
            messages.send(self._line, {**told, "type": "forked", "pid": pid})
        for file in files:
            os.close(file)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            run = self._runs.pop(pid, None)
            if run is not None:
                peak = usage.ru_maxrss * 1024
                messages.send(self._line, {"type": "exited", "run": run, "pid": pid, "status": status, "peak": peak})

    def _end(self) -> None:
        """The agent is gone: nothing of ours may stay."""
        sessions = set(self._runs)
        send_signal([process.pid for process in list_processes() if process.session in sessions], signal.SIGKILL)
        os._exit(0)


def _nothing() -> None:
    pass
