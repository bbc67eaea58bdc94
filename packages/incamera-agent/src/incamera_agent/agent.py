"""The agent: hears the host, and whoever else connects, and has done what they ask."""

from __future__ import annotations

import _socket as socket
import os
import signal
import sys

from . import __version__, home, processes, spec
from .frames import PROTOCOL
from .live import Live, Refused
from .loop import Loop
from .peer import Peer
from .runs import Run
from .warm import Warm, describe_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set, Tuple

    from .frames import Message

MEMORY_SECONDS = 2.0
STOP_GRACE_SECONDS = 3.0
RELOAD_GRACE_SECONDS = 2.0
# Less than what the guard gives us when the host is gone: there is tidying up to do after that.
LEAVE_GRACE_SECONDS = 1.5

EXIT_PROTOCOL = 3
EXIT_BUSY = 4

# What a client on the socket may ask; the host may ask all.
_FOR_CLIENTS = frozenset(
    {"hello", "attach", "detach", "eval", "complete", "interrupt", "stacks", "memory", "take-over", "goodbye"}
)


class BadRequest(Exception):
    """What was asked cannot be; *kind* as in the protocol."""

    def __init__(self, kind: str, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.hint = hint


class Agent:
    def __init__(self, place: home.Home, who: str, what: str, *, take_over: bool) -> None:
        self.exit_code = 0
        self._home = place
        self._who = who
        self._what = what
        self._take_over = take_over
        self._loop = Loop()
        self._host: Optional[Peer] = None
        self._clients: Dict[int, Peer] = {}
        self._client_count = 0
        self._listener = -1
        self._entered = False
        self._leaving = False
        self._live: Optional[Live] = None
        self._warm: Optional[Warm] = None
        self._warm_pids: Dict[int, Warm] = {}
        self._warm_request: Optional[Message] = None
        self._checks: Set[int] = set()
        self._runs: Dict[str, Run] = {}
        self._last: Dict[str, Message] = {}
        self._last_name: Optional[str] = None
        self._starting: Dict[str, Message] = {}
        self._sessions: Dict[int, Tuple[Peer, Run]] = {}
        self._session_count = 0
        self._measuring = False

    def serve(self, incoming: int, outgoing: int) -> int:
        """Speak with the host until it is gone. Raises Become in forks."""
        self._host = Peer(self._loop, incoming, outgoing, self._hear, self._lost)
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        self._loop.on_signal(signal.SIGTERM, self._leave)
        self._loop.on_signal(signal.SIGHUP, self._leave)
        self._loop.on_signal(signal.SIGINT, _nothing)
        self._loop.run()
        self._host.flush(1.0)
        return self.exit_code

    # Frames

    def _hear(self, peer: Peer, message: Message, payload: bytes) -> None:
        kind = message["type"]
        try:
            if not peer.greeted and kind != "hello":
                raise BadRequest("protocol", "hello comes first")
            if peer is not self._host and kind not in _FOR_CLIENTS:
                raise BadRequest("request", f"{kind} is for the host that owns the app")
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise BadRequest("request", f"there is no request called {kind}")
            handler(self, peer, message, payload)
        except BadRequest as error:
            self._answer_error(peer, message, error.kind, str(error), error.hint)
        except (KeyError, TypeError, ValueError) as error:
            self._answer_error(peer, message, "request", f"{kind}: {type(error).__name__}: {error}")
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            self._answer_error(peer, message, "start" if kind == "start" else kind, f"{error.strerror}{where}")

    def _answer(self, peer: Peer, request: Message, answer: Message, payload: bytes = b"") -> None:
        peer.send({**answer, "id": request["id"]} if "id" in request else answer, payload)

    def _answer_error(self, peer: Peer, request: Message, kind: str, message: str, hint: Optional[str] = None) -> None:
        self._answer(peer, request, {"type": "error", "kind": kind, "message": message, "hint": hint})

    def _tell(self, message: Message) -> None:
        if self._host is not None:
            self._host.send(message)

    def _lost(self, peer: Peer, _why: Optional[str]) -> None:
        if peer is self._host:
            self._leave()
            return
        self._clients = {number: client for number, client in self._clients.items() if client is not peer}
        for session, (owner, _run) in list(self._sessions.items()):
            if owner is peer:
                self._detach(session)

    # Beginning and end

    def on_hello(self, peer: Peer, message: Message, _payload: bytes) -> None:
        if message.get("protocol") != PROTOCOL:
            tool = message.get("tool")
            text = f"incamera {tool} speaks protocol {message.get('protocol')}, the agent in the camera {PROTOCOL}"
            self._answer_error(peer, message, "protocol", text, "deploy again with the incamera that you use now")
            self._drop(peer, EXIT_PROTOCOL)
            return
        if peer is self._host and not self._entered:
            try:
                self._home.enter(self._who, self._what, take_over=self._take_over)
            except home.Busy as busy:
                owner = home.public(busy.owner)
                text = f"{owner['who']} is at work there ({owner['what']})"
                error = {
                    "type": "error",
                    "kind": "busy",
                    "message": text,
                    "hint": "--take-over ends that",
                    "owner": owner,
                }
                self._answer(peer, message, error)
                self._drop(peer, EXIT_BUSY)
                return
            self._entered = True
            self._listener = self._home.listen()
            self._loop.watch(self._listener, read=self._accept)
        peer.greeted = True
        python = ".".join(map(str, sys.version_info[:3]))
        answer = {"type": "hello", "protocol": PROTOCOL, "agent": __version__, "python": python, "pid": os.getpid()}
        self._answer(peer, message, answer)

    def _drop(self, peer: Peer, code: int) -> None:
        if peer is self._host:
            self.exit_code = code
            self._loop.stop()
        else:
            peer.flush(0.5)
            peer.close()
            self._lost(peer, None)

    def _accept(self) -> None:
        listener = socket.socket(fileno=self._listener)
        try:
            descriptor, _address = listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        finally:
            listener.detach()
        self._client_count += 1
        peer = Peer(self._loop, descriptor, descriptor, self._hear, self._lost)
        self._clients[self._client_count] = peer

    def on_goodbye(self, peer: Peer, _message: Message, _payload: bytes) -> None:
        if peer is self._host:
            self._leave()
        else:
            self._drop(peer, 0)

    def on_take_over(self, peer: Peer, message: Message, _payload: bytes) -> None:
        owner = {"who": message.get("who"), "what": message.get("what")}
        text = f"{owner['who']} has taken over ({owner['what']})"
        self._tell({"type": "error", "kind": "taken-over", "message": text, "hint": None, "owner": owner})
        self._leave()

    def _leave(self) -> None:
        """End all that goes on, remove all that is ours, and end."""
        if self._leaving:
            return
        self._leaving = True
        for run in list(self._runs.values()):
            run.again = run.reloading = None
            run.stop(LEAVE_GRACE_SECONDS)
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if self._runs:
            return
        for warm in self._warm_pids.values():
            warm.close()
        processes.send_signal(list(self._warm_pids) + list(self._checks), signal.SIGKILL)
        if self._live is not None:
            self._live.remove()
        if self._entered:
            self._home.leave()
        self._loop.stop()

    # The warm process

    def on_warm(self, peer: Peer, message: Message, _payload: bytes) -> None:
        imports = [str(name) for name in message["imports"]]
        self._warm_request = message
        self._make_warm(imports, message.get("environment") or {}, {})

    def _make_warm(self, imports: List[str], environment: Dict[str, Any], failed: Dict[str, str]) -> Warm:
        old, self._warm = self._warm, None
        if old is not None:
            self._retire(old)
        warm = Warm(self._loop, imports, environment, self._hear_warm)
        warm.failed.update(failed)
        self._warm_pids[warm.pid] = warm
        self._warm = warm
        return warm

    def _retire(self, warm: Warm) -> None:
        """It goes when the runs that it has forked have ended."""
        if not warm.runs:
            warm.close()

    def _require_warm(self) -> Warm:
        if self._warm is None:
            self._make_warm([], {}, {})
        elif self._warm.gone:
            self._make_warm(self._warm.imports, self._warm.environment, self._warm.failed)
        assert self._warm is not None
        return self._warm

    def _hear_warm(self, warm: Warm, message: Message) -> None:
        kind = message["type"]
        run = self._runs.get(message.get("run", ""))
        if kind == "printed":
            self._tell({"type": "log", "level": "warning", "text": message["text"]})
        elif kind == "ready" and warm is self._warm:
            self._tell_warmed(warm, message["rss"])
        elif kind == "threaded":
            why = "it starts a thread when it is imported, and a fork would lose that"
            self._warm_without(warm, message["name"], why)
        elif kind == "forked" and run is not None:
            self._begun(run, message["pid"])
        elif kind == "unforked" and run is not None:
            self._fail_start(run, message["message"])
        elif kind == "exited":
            if message["run"] in warm.runs:
                warm.runs.remove(message["run"])
            if run is not None and run.pid == message["pid"]:
                run.ended(message["status"], message["peak"])
            if warm is not self._warm:
                self._retire(warm)
        elif kind == "gone":
            self._lose_warm(warm, message["status"])

    def _tell_warmed(self, warm: Warm, rss: int) -> None:
        request, self._warm_request = self._warm_request, None
        if request is not None and self._host is not None:
            answer = {"type": "warmed", "imports": warm.imported, "failed": warm.failed, "rss": rss}
            self._answer(self._host, request, answer)

    def _warm_without(self, warm: Warm, name: str, why: str) -> None:
        if warm is self._warm:
            others = [other for other in warm.imports if other != name]
            self._make_warm(others, warm.environment, {**warm.failed, name: why})

    def _lose_warm(self, warm: Warm, status: int) -> None:
        self._warm_pids.pop(warm.pid, None)
        if warm is self._warm and not self._leaving:
            why = describe_end(status)
            if warm.importing is not None and not warm.ready:
                self._warm_without(warm, warm.importing, why)
            elif not warm.ready and self._warm_request is not None and self._host is not None:
                self._answer_error(self._host, self._warm_request, "warm", f"the warm process has ended: {why}")
                self._warm_request = None
            else:
                text = f"the warm process has ended ({why}); the next start makes another\n"
                self._tell({"type": "log", "level": "warning", "text": text})
        for name in warm.runs:
            run = self._runs.get(name)
            if run is None or run.status is not None:
                continue
            if not run.pid:
                self._fail_start(run, "the warm process has ended")
            else:
                # It is ours to wait for now, if the launcher made us who adopts orphans.
                process = processes.find_process(run.pid)
                if process is None or process.parent != os.getpid():
                    processes.send_signal([run.pid], signal.SIGKILL)
                    run.ended(signal.SIGKILL, 0)

    # The live folder

    def on_open(self, peer: Peer, message: Message, _payload: bytes) -> None:
        folder = message.get("folder") or self._home.path("live")
        live = Live(self._loop, folder, f"{folder}.new")
        files = live.begin(message["from"], hashed=message.get("hash", True))
        self._live = live
        self._answer(peer, message, {"type": "opened", "folder": folder, "files": files})

    def _require_live(self) -> Live:
        if self._live is None:
            raise BadRequest("put", "no live folder is open")
        return self._live

    def on_put(self, peer: Peer, message: Message, payload: bytes) -> None:
        live = self._require_live()
        try:
            live.put(message, payload)
        except (Refused, OSError) as error:
            text = f"{message.get('path')}: {getattr(error, 'strerror', None) or error}"
            live.break_off(text)
            raise BadRequest("put", text) from None

    def on_delete(self, peer: Peer, message: Message, _payload: bytes) -> None:
        live = self._require_live()
        try:
            live.delete(message["path"])
        except Refused as error:
            live.break_off(str(error))
            raise BadRequest("put", str(error)) from None

    def on_discard(self, peer: Peer, message: Message, _payload: bytes) -> None:
        if self._live is not None:
            self._live.discard()

    def on_commit(self, peer: Peer, message: Message, _payload: bytes) -> None:
        pid = self._require_live().commit(lambda answer: self._answer(peer, message, answer))
        if pid is not None:
            self._checks.add(pid)

    # Runs

    def on_start(self, peer: Peer, message: Message, _payload: bytes) -> None:
        name = str(message["run"])
        if name in self._runs:
            raise BadRequest("start", f"{name} goes on already")
        request = {"terminal": None, "memory_limit": None, **message, "run": name}
        request["environment"] = dict(message.get("environment") or {})
        request["arguments"] = [str(word) for word in message["arguments"]]
        if not request.get("folder"):
            request["folder"] = self._require_live().folder
        self._start(request, {"type": "started", "run": name})

    def _start(self, request: Message, answer: Message) -> None:
        assert self._host is not None
        name = request["run"]
        environment = dict(request["environment"])
        if request["terminal"]:
            environment.setdefault("TERM", request["terminal"].get("kind") or "vt100")
        run = Run(self._loop, self._host, request, adopts=self._adopts, on_exit=self._exited)
        files = run.open_streams(self._hear_inside)
        self._runs[name] = run
        self._last[name] = request
        self._last_name = name
        self._starting[name] = answer
        order = {
            "type": "fork",
            "run": name,
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
                    warm = self._require_warm()
                    warm.fork(order, files)
                    warm.runs.append(name)
                except OSError as error:
                    run.why_cold = f"the warm process cannot be told: {error.strerror}"
            if run.why_cold is not None:
                run.warm = False
                self._begun(run, _start_cold(self._loop, order, files))
        except OSError as error:
            self._fail_start(run, f"{error.strerror}")
        finally:
            for file in files:
                os.close(file)

    def _begun(self, run: Run, pid: int) -> None:
        run.begun(pid)
        answer = self._starting.pop(run.name)
        request = run.request
        told = {**answer, "pid": pid, "warm": run.warm}
        if not run.warm:
            told["why"] = run.why_cold
        assert self._host is not None
        self._answer(self._host, request, told)
        if answer["type"] == "restarted":
            self._tell_attached(run, {"type": "restarted", "run": run.name, "pid": pid})
        if not self._measuring:
            self._measuring = True
            self._loop.after(MEMORY_SECONDS, self._measure)
        if self._leaving or run.again is not None:
            run.stop(LEAVE_GRACE_SECONDS)

    def _fail_start(self, run: Run, why: str) -> None:
        self._starting.pop(run.name, None)
        assert self._host is not None
        self._answer_error(self._host, run.request, "start", f"the app cannot be started: {why}")
        run.failed()

    def _adopts(self, run: Run, pid: int) -> bool:
        """Orphans don't tell whose they were; with several runs they wait for the end of the last."""
        if pid in self._warm_pids or pid in self._checks:
            return False
        others = [other for other in self._runs.values() if other is not run and other.status is None]
        return not others

    def _require_run(self, message: Message) -> Run:
        name = message.get("run")
        run = self._runs.get(name if name is not None else next(reversed(self._runs), ""))
        if run is None or not run.pid:
            raise BadRequest(
                "no-run", f"no run {name} goes on" if name else "no app runs", "start it with `run --watch`"
            )
        return run

    def on_stdin(self, peer: Peer, message: Message, payload: bytes) -> None:
        run = self._runs.get(message["run"])
        if run is None:
            return  # it has ended meanwhile, which the host will hear
        if not run.feed(payload):
            raise BadRequest("flood", f"{run.name} has more to read than there is room for")

    def on_resize(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._runs.get(message["run"])
        if run is not None:
            run.resize(int(message["columns"]), int(message["rows"]))

    def on_signal(self, peer: Peer, message: Message, _payload: bytes) -> None:
        number = signal.Signals[f"SIG{message['name']}"]
        run = self._runs.get(message["run"])
        if run is not None:
            run.signal(number)

    def on_stop(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_run(message)
        run.again = None
        run.stop(float(message.get("grace", STOP_GRACE_SECONDS)))

    def on_reload(self, peer: Peer, message: Message, _payload: bytes) -> None:
        name = message["run"]
        if name not in self._last:
            raise BadRequest("no-run", f"no run {name} has been started")
        request = dict(self._last[name])
        request.pop("id", None)
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
        run = self._runs.get(name)
        if run is None:
            self._start(request, {"type": "restarted", "run": name})
        elif run.again is None and run.pid and run.listens and run.inside is not None and not _must_restart(message):
            first = run.reloading is None
            run.reloading = request
            order = {name: message.get(name) for name in ("arguments", "environment")}
            run.inside.send({**order, "type": "reload"})
            if first:
                self._loop.after(grace, lambda: self._stop_waiting(run, grace))
        else:
            run.again, run.reloading = request, None
            run.stop(grace)

    def _stop_waiting(self, run: Run, grace: float) -> None:
        if run.reloading is not None and run.exited is None:
            run.again, run.reloading = run.reloading, None
            run.stop(grace)

    def _exited(self, run: Run) -> None:
        if self._runs.get(run.name) is run:
            del self._runs[run.name]
        again = run.again or run.reloading
        for session, (peer, attached) in list(self._sessions.items()):
            if attached is run:
                del self._sessions[session]
                if peer is not self._host and run.exited is not None:
                    peer.send(run.exited)
        if again is not None and not self._leaving:
            self._start(again, {"type": "restarted", "run": run.name})
        elif run.exited is not None and run.pid:
            self._tell(run.exited)
        if self._leaving:
            self._leave_when_done()

    # Memory

    def on_memory(self, peer: Peer, message: Message, _payload: bytes) -> None:
        self._answer(peer, message, self._memory())

    def _memory(self) -> Message:
        run = next(reversed(self._runs.values()), None) if self._runs else None
        alive = run is not None and run.pid and run.status is None
        warm = self._warm
        return {
            "type": "memory",
            "agent": processes.resident_bytes(os.getpid()),
            "warm": processes.fair_bytes(warm.pid) if warm is not None and not warm.gone else None,
            "run": run.measure() if run is not None and alive else None,
            "free": processes.free_bytes(),
            "peak": run.peak if run is not None else None,
        }

    def _measure(self) -> None:
        self._measuring = bool(self._runs)
        if self._measuring:
            if self._host is not None and not self._host.full:
                self._tell(self._memory())
            self._loop.after(MEMORY_SECONDS, self._measure)

    # Consoles

    def on_attach(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_inside(message)
        self._session_count += 1
        session = self._session_count
        self._sessions[session] = (peer, run)
        assert run.inside is not None
        run.inside.send({"type": "attach", "session": session})
        self._answer(peer, message, {"type": "attached", "session": session, "run": run.name, "pid": run.pid})

    def _require_inside(self, message: Message) -> Run:
        run = self._require_run(message)
        if not run.warm or run.inside is None or run.inside.closed:
            raise BadRequest("no-run", f"{run.name} was started cold ({run.why_cold}), which nobody can attach to")
        return run

    def on_detach(self, peer: Peer, message: Message, _payload: bytes) -> None:
        self._require_session(peer, message)
        self._detach(message["session"])

    def _detach(self, session: int) -> None:
        _peer, run = self._sessions.pop(session)
        if run.inside is not None:
            run.inside.send({"type": "detach", "session": session})

    def _require_session(self, peer: Peer, message: Message) -> Run:
        owner, run = self._sessions.get(message["session"], (None, None))
        if run is None or owner is not peer:
            raise BadRequest("no-run", "the app has ended, or there is no such session")
        return run

    def on_session(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_session(peer, message)
        assert run.inside is not None
        run.inside.send(message)

    def on_stacks(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_inside(message)
        assert run.inside is not None
        number = next((number for number, client in self._clients.items() if client is peer), 0)
        order = {"type": "stacks", "client": number}
        run.inside.send({**order, "id": message["id"]} if "id" in message else order)

    def _hear_inside(self, run: Run, message: Message, payload: bytes) -> None:
        kind = message["type"]
        if kind == "listening":
            run.listens = True
        elif kind == "reloaded":
            request, run.reloading = run.reloading, None
            if request is not None and self._host is not None:
                run.request = self._last[run.name] = request
                told = {"type": "reloaded", "run": run.name, "kept": message["kept"]}
                self._answer(self._host, request, told)
                self._tell_attached(run, told)
        elif "client" in message:
            number = message.pop("client")
            self._pass_on(run, self._clients.get(number) if number else self._host, message, payload)
        elif "session" in message:
            peer, _run = self._sessions.get(message["session"], (None, None))
            self._pass_on(run, peer, message, payload)

    def _pass_on(self, run: Run, peer: Optional[Peer], message: Message, payload: bytes) -> None:
        if peer is not None:
            peer.send(message, payload)
            if peer.full and run.inside is not None:
                run.inside.rest(peer)

    def _tell_attached(self, run: Run, message: Message) -> None:
        for peer in {peer for peer, attached in self._sessions.values() if attached is run}:
            if peer is not self._host:
                peer.send(message)

    # Children

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._checks.discard(pid)
            warm = self._warm_pids.get(pid)
            if warm is not None:
                warm.reaped(status)
            for run in list(self._runs.values()):
                if run.pid == pid:
                    run.ended(status, usage.ru_maxrss * 1024)


def _must_restart(message: Message) -> bool:
    """Tell whether a reload changes what only a new process can have."""
    early = spec.find_early(message.get("environment") or {})
    return early is not None or "memory_limit" in message or "terminal" in message


def _start_cold(loop: Loop, order: Message, files: List[int]) -> int:
    """Start `python3 ARGUMENTS` as a program of its own; return its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        loop.close()
        os.setsid()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        if order["terminal"]:
            import fcntl
            import termios

            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        processes.offer_to_kernel(800)
        spec.apply_environment(order["environment"])
        os.chdir(order["folder"])
        os.execv(sys.executable, [sys.executable, *order["arguments"]])  # the launcher, in a bundle
    except OSError as error:
        os.write(2, f"cannot start {sys.executable}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _nothing() -> None:
    pass


_HANDLERS: Dict[str, Callable[[Agent, Peer, Message, bytes], None]] = {
    "hello": Agent.on_hello,
    "goodbye": Agent.on_goodbye,
    "take-over": Agent.on_take_over,
    "warm": Agent.on_warm,
    "open": Agent.on_open,
    "put": Agent.on_put,
    "delete": Agent.on_delete,
    "discard": Agent.on_discard,
    "commit": Agent.on_commit,
    "start": Agent.on_start,
    "stdin": Agent.on_stdin,
    "resize": Agent.on_resize,
    "signal": Agent.on_signal,
    "stop": Agent.on_stop,
    "reload": Agent.on_reload,
    "memory": Agent.on_memory,
    "attach": Agent.on_attach,
    "detach": Agent.on_detach,
    "eval": Agent.on_session,
    "complete": Agent.on_session,
    "interrupt": Agent.on_session,
    "stacks": Agent.on_stacks,
}
