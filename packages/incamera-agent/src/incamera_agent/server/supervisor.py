"""Starts runs of the app, stops and reloads them, reports their memory and their ends."""

from __future__ import annotations

import os
import signal
import sys

from incamera_agent import processes
from incamera_agent.forkserver import spec
from incamera_agent.server.forkserver import ForkServerManager
from incamera_agent.server.requests import (
    parse_grace,
    parse_reload,
    parse_run,
    parse_signal,
    parse_size,
    parse_start,
)
from incamera_agent.server.run import Run
from incamera_agent.wire.connection import RequestError
from incamera_agent.wire.protocol import ATTACH_VARIABLE, Answer, ErrorKind, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Set

    from incamera_agent.server.forkserver import ForkServer
    from incamera_agent.server.work import WorkFolder
    from incamera_agent.wire.connection import Connection
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import EventLoop

STOP_GRACE_SECONDS = 3.0
RELOAD_GRACE_SECONDS = 2.0
# Less than the guard gives the agent when the host is gone: removing the folder comes after it.
LEAVE_GRACE_SECONDS = 1.5
_MEMORY_SECONDS = 2.0
# How many runs can be reloaded by their names after their end.
_REMEMBERED = 8
# How many runs there can be at a time.
_MAXIMUM_RUNS = 16
# What of `kept` is passed on: an app chooses these names.
_MAXIMUM_KEPT = 100
_NAME_CHARACTERS = 200
# The control connection of a cold run. A number that no app expects.
_CONTROL_DESCRIPTOR = 200


class Supervisor:
    """*on_control* is called with what a run sends over its control connection, beyond what a reload needs.

    *on_event* is called with what clients attached to a run must learn; *on_end* when a run has ended, before another
    follows it; *on_idle* once, when all runs have ended after `leave`.
    """

    def __init__(
        self,
        loop: EventLoop,
        host: Connection,
        *,
        on_control: Callable[[Run, Message, bytes], None],
        on_event: Callable[[Run, Message], None],
        on_end: Callable[[Run], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.fork_servers = ForkServerManager(loop, host, self._handle_fork_server)
        self.runs: Dict[str, Run] = {}
        self.checks: Set[int] = set()
        """Processes that compile changes (compile_check.py)."""
        self.folder: Optional[str] = None
        """The live folder, once there is one: apps run there, unless there is a working folder that shows it."""
        self.work: Optional[WorkFolder] = None
        self.leaving = False
        self._loop = loop
        self._host = host
        self._on_control = on_control
        self._on_event = on_event
        self._on_end = on_end
        self._on_idle = on_idle
        self._idle = False
        self._start_count = 0
        self._last_requests: Dict[str, Message] = {}
        self._pending_answers: Dict[str, Message] = {}
        self._measuring = False

    def leave(self) -> None:
        """End all runs, and start none any more."""
        self.leaving = self.fork_servers.leaving = True
        for run in list(self.runs.values()):
            run.next_request = run.reload_request = None
            if run.pid:
                run.stop(LEAVE_GRACE_SECONDS)
            else:
                self._fail_start(run, "the agent is ending")
        self._call_if_idle()

    def close(self) -> None:
        """End the fork servers and the checks. All runs have ended."""
        for server in self.fork_servers.by_pid.values():
            server.close()
        processes.send_signal([*self.fork_servers.by_pid, *self.checks], signal.SIGKILL)

    def _call_if_idle(self) -> None:
        if self.leaving and not self.runs and not self._idle:
            self._idle = True
            self._on_idle()

    # Requests; each raises RequestError, KeyError, TypeError, ValueError or OSError for one that cannot be fulfilled

    def start(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        request = parse_start(message)
        name = request["run"]
        if name in self.runs:
            raise RequestError(ErrorKind.START, f"{name} runs already")
        if len(self.runs) >= _MAXIMUM_RUNS:
            raise RequestError(ErrorKind.START, f"{_MAXIMUM_RUNS} runs are under way")
        if request["folder"] is None:
            request["folder"] = self.work.folder if self.work is not None else self.folder
            if request["folder"] is None:
                raise RequestError(ErrorKind.START, "no live folder is open, and no other folder is named")
        self._start(request, {"type": Answer.STARTED, "run": name})

    def write_input(self, _connection: Connection, message: Message, payload: bytes) -> None:
        run = self.runs.get(parse_run(message))
        if run is None:
            return  # it has ended, which the host will hear
        if not run.streams.write_input(payload):
            raise RequestError(ErrorKind.FLOOD, f"{run.name} has more input to read than there is room for")

    def resize(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        columns, rows = parse_size(message)
        run = self.runs.get(parse_run(message))
        if run is not None:
            run.streams.resize(columns, rows)

    def signal(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        number = parse_signal(message)
        run = self.runs.get(parse_run(message))
        if run is not None:
            run.signal(number)

    def stop(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        run, grace = self._find_run(message), parse_grace(message, STOP_GRACE_SECONDS)
        # A reload that it has been asked for does not start it again, either.
        run.next_request = run.reload_request = None
        if not run.pid and run.fork_server is not None and not run.fork_server.ready:
            self._fail_start(run, "it was stopped before the fork server was ready")
        else:
            run.stop(grace)

    def reload(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        """Have the app return and run again in its process, or start it again where that cannot be done."""
        grace, message = parse_grace(message, RELOAD_GRACE_SECONDS), parse_reload(message)
        name = message["run"]
        if name not in self._last_requests:
            raise RequestError(ErrorKind.NO_RUN, f"no run {name} has been started")
        request = self._merge_reload(dict(self._last_requests[name]), message)
        run = self.runs.get(name)
        if run is None:
            self._start(request, {"type": Answer.RESTARTED, "run": name})
        elif (
            run.next_request is None
            and run.pid
            and run.supports_reload
            and run.control is not None
            and not spec.needs_new_process(message)
        ):
            if run.reload_request is None:
                run.reload_timer = self._loop.call_later(grace, lambda: self._give_up_reload(run, grace))
            self._show_files(request)
            run.reload_request = request
            run.reload_count += 1
            order = {name: message.get(name) for name in ("arguments", "environment")}
            run.control.send({**order, "type": Request.RELOAD, "number": run.reload_count})
        else:
            run.next_request, run.reload_request = request, None
            run.stop(grace)

    def report_memory(self, connection: Connection, message: Message, _payload: bytes) -> None:
        connection.answer(message, self._measure())

    def require_run(self, message: Message) -> Run:
        """Return the run that *message* names, or without a name the newest. Raises RequestError."""
        run = self._find_run(message)
        if not run.pid:
            raise RequestError(ErrorKind.NO_RUN, f"{run.name} is being started", "try again in a moment")
        return run

    def _find_run(self, message: Message) -> Run:
        name = parse_run(message) if message.get("run") is not None else None
        run = self.runs.get(name if name is not None else next(reversed(self.runs), ""))
        if run is None:
            text = f"there is no run {name}" if name else "no app runs"
            raise RequestError(ErrorKind.NO_RUN, text, "start it with `incamera run --watch`")
        return run

    # Starting

    def _start(self, request: Message, answer: Message) -> None:
        if self.leaving:
            raise RequestError(ErrorKind.START, "the agent is ending")
        name = request["run"]
        self._show_files(request)
        environment = dict(request["environment"])
        if "PWD" in os.environ:  # the agent was started by a shell, as an app without an agent is
            environment.setdefault("PWD", request["folder"])
        if request["terminal"]:
            environment.setdefault("TERM", request["terminal"].get("kind") or "vt100")
        run = Run(self._loop, self._host, request, owns_orphan=self._owns_orphan, on_exit=self._handle_exit)
        files = run.open_streams(self._handle_control)
        self.runs[name] = run
        self._start_count += 1
        run.start_number = self._start_count
        self._remember(request)
        self._pending_answers[name] = answer
        order = {
            "type": "fork",
            "run": name,
            "start": run.start_number,
            "arguments": request["arguments"],
            "environment": environment,
            "folder": request["folder"],
            "terminal": bool(request["terminal"]),
            "line_buffered": bool(request.get("line_buffered")),
        }
        try:
            run.cold_reason = spec.find_cold_reason(request["arguments"], environment, request["folder"])
            if run.cold_reason is None:
                try:
                    server = self.fork_servers.require()
                    server.fork(order, files)
                    server.runs.append(name)
                    run.fork_server = server
                except OSError as error:
                    run.cold_reason = f"the fork server cannot be asked: {error.strerror}"
            if run.cold_reason is not None:
                self._handle_start(run, _start_cold(self._loop, order, files))
        except OSError as error:
            self._fail_start(run, f"{error.strerror}")
        except ValueError as error:  # of a name that no file can have
            self._fail_start(run, str(error))
        finally:
            for file in files:
                os.close(file)

    def _show_files(self, request: Message) -> None:
        if self.work is not None and request["folder"] == self.work.folder:
            self.work.show()

    def _remember(self, request: Message) -> None:
        self._last_requests.pop(request["run"], None)
        self._last_requests[request["run"]] = request
        if len(self._last_requests) > _REMEMBERED:
            del self._last_requests[next(iter(self._last_requests))]

    def _merge_reload(self, request: Message, message: Message) -> Message:
        """Return the former start's *request* with what the reload *message* changes."""
        for setting in ("id", "retried"):
            request.pop(setting, None)
        if "id" in message:
            request["id"] = message["id"]
        if message.get("arguments") is not None:
            request["arguments"] = message["arguments"]
        if message.get("environment"):
            request["environment"] = {**request["environment"], **message["environment"]}
        for setting in ("memory_limit", "terminal"):
            if setting in message:
                request[setting] = message[setting]
        return request

    def _handle_start(self, run: Run, pid: int) -> None:
        run.process_started(pid)
        answer = {**self._pending_answers.pop(run.name), "pid": pid, "warm": run.cold_reason is None}
        if run.cold_reason is not None:
            answer["cold_reason"] = run.cold_reason
        self._host.answer(run.request, answer)
        if answer["type"] == Answer.RESTARTED:
            self._on_event(run, {"type": Answer.RESTARTED, "run": run.name, "pid": pid})
        if not self._measuring:
            self._measuring = True
            self._loop.call_later(_MEMORY_SECONDS, self._send_memory)

    def _fail_start(self, run: Run, reason: str) -> None:
        self._pending_answers.pop(run.name, None)
        self._host.answer_error(run.request, ErrorKind.START, f"the app cannot be started: {reason}")
        run.start_failed()

    # Runs

    def _owns_orphan(self, run: Run, pid: int) -> bool:
        """Return whether the agent's child *pid* belongs to *run*.

        An orphan does not tell which run it was of: with several runs, it belongs to the last that ends.
        """
        if pid in self.fork_servers.by_pid or pid in self.checks:
            return False
        others = [other for other in self.runs.values() if other is not run and other.status is None]
        return not others

    def _give_up_reload(self, run: Run, grace: float) -> None:
        """Start the app again: it has not returned in time."""
        if run.reload_request is not None and run.exited is None:
            run.next_request, run.reload_request = run.reload_request, None
            run.stop(grace)

    def _handle_control(self, run: Run, message: Message, payload: bytes) -> None:
        """Take what a run sends. The app could send anything: what is not in the protocol is left out."""
        try:
            self._take_control(run, message, payload)
        except Exception:  # also RecursionError, of an answer that is nested too deep to be passed on
            pass

    def _take_control(self, run: Run, message: Message, payload: bytes) -> None:
        if message["type"] == "supports-reload":
            run.supports_reload = True
        elif message["type"] == Answer.RELOADED:
            # An answer to an older request is not passed on: the newer one is on its way to the app.
            if run.reload_request is not None and message["number"] == run.reload_count:
                kept = [str(name)[:_NAME_CHARACTERS] for name in message["kept"][:_MAXIMUM_KEPT]]
                request, run.reload_request = run.reload_request, None
                if run.reload_timer is not None:
                    run.reload_timer.cancel()
                run.request = self._last_requests[run.name] = request
                answer = {"type": Answer.RELOADED, "run": run.name, "kept": kept}
                self._host.answer(request, answer)
                self._on_event(run, answer)
        else:
            self._on_control(run, message, payload)

    def _handle_exit(self, run: Run) -> None:
        if self.runs.get(run.name) is run:
            del self.runs[run.name]
        self._on_end(run)
        request = run.next_request or run.reload_request
        if request is not None and not self.leaving:
            try:
                self._start(request, self._pending_answers.pop(run.name, {"type": Answer.RESTARTED, "run": run.name}))
            except OSError as error:  # no descriptors left, perhaps: the next attempt may find some
                self._host.answer_error(request, ErrorKind.START, f"the app cannot be started: {error.strerror}")
        elif run.exited is not None:
            self._on_event(run, run.exited)
            if run.pid:
                self._host.send(run.exited)
        self._call_if_idle()

    # Memory

    def _measure(self) -> Message:
        run = next(reversed(self.runs.values()), None) if self.runs else None
        alive = run is not None and run.pid and run.status is None
        server = self.fork_servers.current
        if server is not None and server.gone:
            server = None
        return {
            "type": Answer.MEMORY,
            "agent": processes.resident_bytes(os.getpid()),
            "fork_server": processes.proportional_bytes(server.pid) if server is not None else None,
            "run": run.measure() if run is not None and alive else None,
            "free": processes.available_bytes(),
            "peak": run.peak if run is not None else None,
        }

    def _send_memory(self) -> None:
        self._measuring = bool(self.runs)
        if self._measuring:
            if not self._host.full:
                self._host.send(self._measure())
            self._loop.call_later(_MEMORY_SECONDS, self._send_memory)

    # Fork servers and children

    def _handle_fork_server(self, server: ForkServer, message: Message) -> None:
        kind = message["type"]
        run = self.runs.get(message.get("run", ""))
        if run is not None and message.get("start", run.start_number) != run.start_number:
            run = None  # it was stopped meanwhile, and another of its name was started
        if kind == "forked":
            if run is not None:
                self._handle_start(run, message["pid"])
            else:
                processes.send_signal([message["pid"]], signal.SIGKILL)
        elif kind == "fork-failed":
            server.runs.remove(message["run"])
            if run is not None:
                self._fail_start(run, message["message"])
        elif kind == "exited":
            if message["run"] in server.runs:
                server.runs.remove(message["run"])
            if run is not None and run.pid == message["pid"]:
                run.process_ended(message["status"], message["peak"])
        elif kind == "gone":
            self._handle_runs_of_dead(server)

    def _handle_runs_of_dead(self, server: ForkServer) -> None:
        for run in list(self.runs.values()):
            if run.fork_server is not server or run.status is not None:
                continue
            if not run.pid:
                self._retry_start(run)
            else:
                # It is the agent's child now, if the launcher made the agent adopt orphans: `reap` hears of its end,
                # even of one that came before this. Else nobody can tell us when it ends.
                if not processes.is_child(run.pid):
                    processes.send_signal([run.pid], signal.SIGKILL)
                    run.process_ended(signal.SIGKILL, 0)

    def _retry_start(self, run: Run) -> None:
        """Start a run that waited for a fork server that has died: with the next one, and only once more."""
        server = self.fork_servers.current
        # Another may have been started already, without the package that ended the first. Else the fork itself may be
        # what ended it.
        replaced = server is not None and not server.gone
        if run.next_request is not None or self.leaving or (run.request.get("retried") and not replaced):
            self._fail_start(run, "the fork server has ended")
        else:
            run.next_request = {**run.request, "retried": True}
            run.start_failed()

    def reap(self) -> None:
        """Handle the ends of child processes."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self.checks.discard(pid)
            server = self.fork_servers.by_pid.get(pid)
            if server is not None:
                server.process_ended(status)
            for run in list(self.runs.values()):
                if run.pid == pid:
                    run.process_ended(status, usage.ru_maxrss * 1024)


def _start_cold(loop: EventLoop, order: Message, files: List[int]) -> int:
    """Start `python3 ARGUMENTS` as a program of its own; return its process number. Raises OSError.

    *files* are standard input, output and error, and its control connection.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        loop.close()
        os.setsid()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        os.dup2(files[3], _CONTROL_DESCRIPTOR)  # where inapp/listener.py takes it up
        if order["terminal"]:
            import fcntl
            import termios

            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        processes.set_oom_score(processes.APP_OOM_SCORE)
        spec.apply_environment({**order["environment"], ATTACH_VARIABLE: str(_CONTROL_DESCRIPTOR)})
        if order["terminal"]:
            spec.name_terminal()
        os.chdir(order["folder"])
        os.execv(sys.executable, [sys.executable, *order["arguments"]])  # the launcher, in a bundle
    except OSError as error:
        os.write(2, f"cannot start {sys.executable}: {error.strerror}\n".encode())
    finally:
        os._exit(127)
