"""The runs of the app: started, stopped, started anew, and their ends told."""

from __future__ import annotations

import os
import signal

from incamera_agent import processes
from incamera_agent.forkserver import spec
from incamera_agent.server.cold import start_cold
from incamera_agent.server.measuring import Measuring
from incamera_agent.server.run import Run
from incamera_agent.server.warming import Warming
from incamera_agent.wire.answers import BadRequest, answer, answer_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional, Set

    from incamera_agent.server.forkserver import Warm
    from incamera_agent.wire.connection import Peer
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop

STOP_GRACE_SECONDS = 3.0
RELOAD_GRACE_SECONDS = 2.0
# Less than what the guard gives us when the host is gone: there is tidying up to do after that.
LEAVE_GRACE_SECONDS = 1.5
# Runs that can be started again by name after their end.
_REMEMBERED = 8


class Runner:
    """*on_inside* gets what a run says over its line to us, *on_news* what those want to know who are attached to it.

    *on_end* is called when a run has ended, before another one follows it; *on_idle* when all have after `leave`, once.
    """

    def __init__(
        self,
        loop: Loop,
        host: Peer,
        *,
        on_inside: Callable[[Run, Message, bytes], None],
        on_news: Callable[[Run, Message], None],
        on_end: Callable[[Run], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.warming = Warming(loop, host, self._hear_warm)
        self.runs: Dict[str, Run] = {}
        self.checks: Set[int] = set()
        self.folder: Optional[str] = None
        self.leaving = False
        self._loop = loop
        self._host = host
        self._on_inside = on_inside
        self._on_news = on_news
        self._on_end = on_end
        self._on_idle = on_idle
        self._idle = False
        self._starts = 0
        self._last: Dict[str, Message] = {}
        self._starting: Dict[str, Message] = {}
        self._measuring = Measuring(loop, host, self.warming, self.runs)

    def leave(self) -> None:
        """End all that goes on."""
        self.leaving = self.warming.leaving = True
        for run in list(self.runs.values()):
            run.again = run.reloading = None
            if run.pid:
                run.stop(LEAVE_GRACE_SECONDS)
            else:
                self._fail_start(run, "the agent leaves")
        self._look_if_idle()

    def _look_if_idle(self) -> None:
        if self.leaving and not self.runs and not self._idle:
            self._idle = True
            self._on_idle()

    def close(self) -> None:
        """All runs have ended: what is left of ours goes, too."""
        for warm in self.warming.pids.values():
            warm.close()
        processes.send_signal([*self.warming.pids, *self.checks], signal.SIGKILL)

    def start(self, peer: Peer, message: Message, _payload: bytes) -> None:
        name = str(message["run"])
        if name in self.runs:
            raise BadRequest("start", f"{name} goes on already")
        request = {"terminal": None, "memory_limit": None, **message, "run": name}
        request["environment"] = dict(message.get("environment") or {})
        request["arguments"] = [str(word) for word in message["arguments"]]
        if not request.get("folder"):
            if self.folder is None:
                raise BadRequest("start", "no live folder is open, and no other is named")
            request["folder"] = self.folder
        self._start(request, {"type": "started", "run": name})

    def _start(self, request: Message, told: Message) -> None:
        if self.leaving:
            raise BadRequest("start", "the agent leaves")
        name = request["run"]
        environment = dict(request["environment"])
        if request["terminal"]:
            environment.setdefault("TERM", request["terminal"].get("kind") or "vt100")
        run = Run(self._loop, self._host, request, adopts=self._adopts, on_exit=self._exited)
        files = run.open_streams(self._hear_inside)
        self.runs[name] = run
        self._starts += 1
        run.start = self._starts
        self._last.pop(name, None)
        self._last[name] = request
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        self._starting[name] = told
        order = {
            "type": "fork",
            "run": name,
            "start": run.start,
            "arguments": request["arguments"],
            "environment": environment,
            "folder": request["folder"],
            "terminal": bool(request["terminal"]),
            "line_buffered": bool(request.get("line_buffered")),
        }
        try:
            run.why_cold = spec.why_cold(request["arguments"], environment, request["folder"])
            if run.why_cold is None:
                try:
                    warm = self.warming.require()
                    warm.fork(order, files)
                    warm.runs.append(name)
                    run.origin = warm
                except OSError as error:
                    run.why_cold = f"the warm process cannot be told: {error.strerror}"
            if run.why_cold is not None:
                run.warm = False
                self._begun(run, start_cold(self._loop, order, files))
        except OSError as error:
            self._fail_start(run, f"{error.strerror}")
        finally:
            for file in files:
                os.close(file)

    def _begun(self, run: Run, pid: int) -> None:
        run.begun(pid)
        told = {**self._starting.pop(run.name), "pid": pid, "warm": run.warm}
        if not run.warm:
            told["why"] = run.why_cold
        answer(self._host, run.request, told)
        if told["type"] == "restarted":
            self._on_news(run, {"type": "restarted", "run": run.name, "pid": pid})
        self._measuring.begin()

    def _fail_start(self, run: Run, why: str) -> None:
        self._starting.pop(run.name, None)
        answer_error(self._host, run.request, "start", f"the app cannot be started: {why}")
        run.failed()

    def _adopts(self, run: Run, pid: int) -> bool:
        """Orphans don't tell whose they were; with several runs they wait for the end of the last."""
        if pid in self.warming.pids or pid in self.checks:
            return False
        others = [other for other in self.runs.values() if other is not run and other.status is None]
        return not others

    def require_run(self, message: Message) -> Run:
        run = self._require_any_run(message)
        if not run.pid:
            raise BadRequest("no-run", f"{run.name} is being started", "try again in a moment")
        return run

    def _require_any_run(self, message: Message) -> Run:
        name = message.get("run")
        run = self.runs.get(name if name is not None else next(reversed(self.runs), ""))
        if run is None:
            raise BadRequest(
                "no-run", f"no run {name} goes on" if name else "no app runs", "start it with `run --watch`"
            )
        return run

    def tell_memory(self, peer: Peer, message: Message, _payload: bytes) -> None:
        answer(peer, message, self._measuring.measure())

    def feed(self, peer: Peer, message: Message, payload: bytes) -> None:
        run = self.runs.get(message["run"])
        if run is None:
            return  # it has ended meanwhile, which the host will hear
        if not run.streams.feed(payload):
            raise BadRequest("flood", f"{run.name} has more to read than there is room for")

    def resize(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self.runs.get(message["run"])
        if run is not None:
            run.streams.resize(int(message["columns"]), int(message["rows"]))

    def signal(self, peer: Peer, message: Message, _payload: bytes) -> None:
        number = signal.Signals[f"SIG{message['name']}"]
        run = self.runs.get(message["run"])
        if run is not None:
            run.signal(number)

    def stop(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_any_run(message)
        # Code that it was asked to load won't be started in its place, either.
        run.again = run.reloading = None
        if not run.pid and run.origin is not None and not run.origin.ready:
            self._fail_start(run, "it was stopped before the warm process was ready")  # which may take long
        else:
            run.stop(float(message.get("grace", STOP_GRACE_SECONDS)))

    def reload(self, peer: Peer, message: Message, _payload: bytes) -> None:
        name = message["run"]
        if name not in self._last:
            raise BadRequest("no-run", f"no run {name} has been started")
        request = dict(self._last[name])
        for setting in ("id", "once_more"):
            request.pop(setting, None)
        if "id" in message:
            request["id"] = message["id"]
        if message.get("arguments") is not None:
            request["arguments"] = [str(word) for word in message["arguments"]]
        if message.get("environment"):
            request["environment"] = {**request["environment"], **message["environment"]}
        for setting in ("memory_limit", "terminal"):
            if setting in message:
                request[setting] = message[setting]
        grace = float(message.get("grace", RELOAD_GRACE_SECONDS))
        run = self.runs.get(name)
        if run is None:
            self._start(request, {"type": "restarted", "run": name})
        elif (
            run.again is None and run.pid and run.listens and run.inside is not None and not spec.must_restart(message)
        ):
            if run.reloading is None:
                run.patience = self._loop.after(grace, lambda: self._stop_waiting(run, grace))
            run.reloading = request
            run.orders += 1
            order = {name: message.get(name) for name in ("arguments", "environment")}
            run.inside.send({**order, "type": "reload", "order": run.orders})
        else:
            run.again, run.reloading = request, None
            run.stop(grace)

    def _stop_waiting(self, run: Run, grace: float) -> None:
        if run.reloading is not None and run.exited is None:
            run.again, run.reloading = run.reloading, None
            run.stop(grace)

    def _exited(self, run: Run) -> None:
        if self.runs.get(run.name) is run:
            del self.runs[run.name]
        self._on_end(run)
        again = run.again or run.reloading
        if again is not None and not self.leaving:
            try:
                self._start(again, self._starting.pop(run.name, {"type": "restarted", "run": run.name}))
            except OSError as error:  # no descriptors left, perhaps: the next attempt may find some
                answer_error(self._host, again, "start", f"the app cannot be started: {error.strerror}")
        elif run.exited is not None:
            self._on_news(run, run.exited)
            if run.pid:
                self._host.send(run.exited)
        self._look_if_idle()

    def _hear_inside(self, run: Run, message: Message, payload: bytes) -> None:
        if message["type"] == "listening":
            run.listens = True
        elif message["type"] == "reloaded":
            if run.reloading is not None and message["order"] == run.orders:  # else a newer one is on its way
                request, run.reloading = run.reloading, None
                if run.patience is not None:
                    run.patience.cancel()
                run.request = self._last[run.name] = request
                told = {"type": "reloaded", "run": run.name, "kept": message["kept"]}
                answer(self._host, request, told)
                self._on_news(run, told)
        else:
            self._on_inside(run, message, payload)

    # What the warm process tells of runs

    def _hear_warm(self, warm: Warm, message: Message) -> None:
        kind = message["type"]
        run = self.runs.get(message.get("run", ""))
        if run is not None and message.get("start", run.start) != run.start:
            run = None  # which has been stopped meanwhile, and followed by another
        if kind == "forked":
            if run is not None:
                self._begun(run, message["pid"])
            else:
                processes.send_signal([message["pid"]], signal.SIGKILL)
        elif kind == "unforked":
            warm.runs.remove(message["run"])
            if run is not None:
                self._fail_start(run, message["message"])
        elif kind == "exited":
            if message["run"] in warm.runs:
                warm.runs.remove(message["run"])
            if run is not None and run.pid == message["pid"]:
                run.ended(message["status"], message["peak"])
        elif kind == "gone":
            self._lose_runs(warm)

    def _lose_runs(self, warm: Warm) -> None:
        for run in list(self.runs.values()):
            if run.origin is not warm or run.status is not None:
                continue
            if not run.pid:
                self._start_elsewhere(run)
            else:
                # It is ours to wait for now, if the launcher made us who adopts orphans.
                process = processes.find_process(run.pid)
                if process is None or process.parent != os.getpid():
                    processes.send_signal([run.pid], signal.SIGKILL)
                    run.ended(signal.SIGKILL, 0)

    def _start_elsewhere(self, run: Run) -> None:
        """The warm process that it waited for has ended; whoever asked need not know."""
        warm = self.warming.warm
        # Another may have been made, without what this one died of. Else it may have been the fork, so once only.
        there = warm is not None and not warm.gone
        if run.again is not None or self.leaving or (run.request.get("once_more") and not there):
            self._fail_start(run, "the warm process has ended")
        else:
            run.again = {**run.request, "once_more": True}
            run.failed()

    # Children

    def reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self.checks.discard(pid)
            warm = self.warming.pids.get(pid)
            if warm is not None:
                warm.reaped(status)
            for run in list(self.runs.values()):
                if run.pid == pid:
                    run.ended(status, usage.ru_maxrss * 1024)
