"""The fork server: imports packages once, and from then on only forks. Each run of the app is one of its forks.

So whatever an app does to its modules or its environment ends with the run.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import time

from incamera_agent.forkserver import child, ending
from incamera_agent.forkserver.become import Become
from incamera_agent.forkserver.spec import apply_environment
from incamera_agent.forkserver.title import set_title
from incamera_agent.processes import close_all_but, list_processes, resident_bytes, send_signal, set_oom_score
from incamera_agent.wire import packets
from incamera_agent.wire.loop import EventLoop
from incamera_agent.wire.protocol import MODULE, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Mapping, Optional

    from incamera_agent.wire.frames import Message

# Killed after the app (forkserver/child.py) and before the camera's own processes when memory runs out.
_OOM_SCORE = 300
# A packet has room for more, in any encoding.
_LONGEST_REASON = 10_000


def main(line: int, output: int, imports: List[str], environment: Mapping[str, Optional[str]]) -> int:
    """Import *imports*, then fork on request until the agent closes *line*. Raises Become in each fork.

    *line* is the socket to the agent (wire/packets.py). What packages print when they are imported goes to *output*.
    """
    set_title(["-m", MODULE, Option.FORK_SERVER])
    gc.collect()  # what the agent left behind
    for number in (1, 2):
        os.dup2(output, number)
    close_all_but({0, 1, 2, line})
    # `threading` takes the thread that imports it first for the main thread. That must not be a thread of the app.
    threading.main_thread()
    os.setsid()  # a signal to the agent's process group is not meant for the fork server
    set_oom_score(_OOM_SCORE)
    apply_environment(environment)
    ending.register()
    for name in imports:
        packets.send(line, {"type": "importing", "name": name})
        result = _import(name)
        packets.send(line, result)
        if result["type"] == "threaded":
            os._exit(0)  # the agent makes another fork server, without this package
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # else each fork would write it once more
    # The garbage collector writes to every object that it visits, and a fork then has to copy the page: let it leave
    # alone what is there now.
    gc.collect()
    ending.keep_modules()
    gc.freeze()
    packets.send(line, {"type": "ready", "rss": resident_bytes(os.getpid())})
    _ForkServer(line).loop.run()
    return 0


def _import(name: str) -> Message:
    started = time.perf_counter()
    try:
        importlib.import_module(name)
    except BaseException as error:  # SystemExit too: no package may end the fork server
        return {"type": "failed", "name": name, "text": f"{type(error).__name__}: {error}"[:_LONGEST_REASON]}
    if len(sys._current_frames()) > 1:
        # A fork has only the thread that forked. Runs would miss the other, and any lock that it holds stays locked.
        return {"type": "threaded", "name": name}
    return {"type": "imported", "name": name, "seconds": time.perf_counter() - started}


class _ForkServer:
    def __init__(self, line: int) -> None:
        self._line = line
        self._runs: Dict[int, str] = {}
        os.set_blocking(line, True)
        self.loop = EventLoop()
        self.loop.watch(line, read=self._read)
        self.loop.on_signal(signal.SIGCHLD, self._reap)
        self.loop.on_signal(signal.SIGINT, _ignore)

    def _read(self) -> None:
        received = packets.receive(self._line)
        if received is None:
            self._end()
            return
        request, files = received
        answer = {"run": request["run"], "start": request["start"]}
        try:
            pid = os.fork()
        except OSError as error:
            packets.send(self._line, {**answer, "type": "fork-failed", "message": error.strerror})
        else:
            if pid == 0:
                self.loop.close()
                os.close(self._line)
                raise Become(lambda: child.main(request, files))
            self._runs[pid] = request["run"]
            packets.send(self._line, {**answer, "type": "forked", "pid": pid})
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
                packets.send(self._line, {"type": "exited", "run": run, "pid": pid, "status": status, "peak": peak})

    def _end(self) -> None:
        """Kill all runs and end: the agent is gone."""
        sessions = set(self._runs)
        send_signal([process.pid for process in list_processes() if process.session in sessions], signal.SIGKILL)
        os._exit(0)


def _ignore() -> None:
    pass
