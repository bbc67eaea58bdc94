"""The agent: hears the host, and whoever else connects, and has done what they ask."""

from __future__ import annotations

import _socket as socket
import os
import signal
import sys

from incamera_agent import __version__
from incamera_agent.server import folder as home
from incamera_agent.server.consoles import Consoles
from incamera_agent.server.live import Live, Refused
from incamera_agent.server.supervisor import Runner
from incamera_agent.wire.answers import BadRequest, answer, answer_error
from incamera_agent.wire.connection import Peer
from incamera_agent.wire.frames import PROTOCOL, protocol_error
from incamera_agent.wire.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional, Set

    from incamera_agent.wire.frames import Message

EXIT_PROTOCOL = 3
EXIT_BUSY = 4

# What a client on the socket may ask; the host may ask all.
_FOR_CLIENTS = frozenset(
    {"hello", "attach", "detach", "eval", "complete", "interrupt", "stacks", "memory", "take-over", "goodbye"}
)


class Agent:
    def __init__(self, place: home.Home, who: str, what: str, *, take_over: bool) -> None:
        self.exit_code = 0
        self._home = place
        self._who = who
        self._what = what
        self._take_over = take_over
        self._loop = Loop()
        self._clients: Set[Peer] = set()
        self._listener = -1
        self._entered = False
        self._live: Optional[Live] = None

    def serve(self, incoming: int, outgoing: int) -> int:
        """Speak with the host until it is gone. Raises Become in forks."""
        self._host = Peer(self._loop, incoming, outgoing, self._hear, self._lost)
        consoles = Consoles(self._host)
        runner = Runner(
            self._loop,
            self._host,
            on_inside=consoles.hear,
            on_news=consoles.tell,
            on_end=consoles.end,
            on_idle=self._finish,
        )
        consoles.runner = runner
        self._consoles = consoles
        self._runner = runner
        self._handlers: Dict[str, Callable[[Peer, Message, bytes], None]] = {
            "hello": self._greet,
            "goodbye": self._part,
            "take-over": self._give_way,
            "warm": lambda _peer, message, _payload: runner.warming.request(message),
            "open": self._open,
            "put": self._put,
            "delete": self._delete,
            "discard": self._discard,
            "commit": self._commit,
            "start": runner.start,
            "stdin": runner.feed,
            "resize": runner.resize,
            "signal": runner.signal,
            "stop": runner.stop,
            "reload": runner.reload,
            "memory": runner.tell_memory,
            "attach": consoles.attach,
            "detach": consoles.detach,
            "eval": consoles.pass_on,
            "complete": consoles.pass_on,
            "interrupt": consoles.pass_on,
            "stacks": consoles.stacks,
        }
        self._loop.on_signal(signal.SIGCHLD, runner.reap)
        self._loop.on_signal(signal.SIGTERM, self._leave)
        self._loop.on_signal(signal.SIGUSR1, self._stop)
        self._loop.on_signal(signal.SIGHUP, self._leave)
        self._loop.on_signal(signal.SIGINT, lambda: None)
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
            handler = self._handlers.get(kind)
            if handler is None:
                raise BadRequest("request", f"there is no request called {kind}")
            handler(peer, message, payload)
        except BadRequest as error:
            answer_error(peer, message, error.kind, str(error), error.hint)
        except (KeyError, TypeError, ValueError) as error:
            answer_error(peer, message, "request", f"{kind}: {type(error).__name__}: {error}")
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            answer_error(peer, message, "start" if kind == "start" else kind, f"{error.strerror}{where}")

    def _lost(self, peer: Peer, _why: Optional[str]) -> None:
        if peer is self._host:
            self._leave()
            return
        self._clients.discard(peer)
        self._consoles.lose(peer)

    # Beginning and end

    def _greet(self, peer: Peer, message: Message, _payload: bytes) -> None:
        if message.get("protocol") != PROTOCOL:
            answer(peer, message, protocol_error(message, __version__))
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
                answer(peer, message, error)
                self._drop(peer, EXIT_BUSY)
                return
            self._entered = True
            self._listener = self._home.listen()
            self._loop.watch(self._listener, read=self._accept)
        peer.greeted = True
        python = ".".join(map(str, sys.version_info[:3]))
        who = {"agent": __version__, "python": python, "pid": os.getpid()}
        answer(peer, message, {"type": "hello", "protocol": PROTOCOL, **who})

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
        self._clients.add(Peer(self._loop, descriptor, descriptor, self._hear, self._lost))

    def _part(self, peer: Peer, _message: Message, _payload: bytes) -> None:
        if peer is self._host:
            self._leave()
        else:
            self._drop(peer, 0)

    def _give_way(self, peer: Peer, message: Message, _payload: bytes) -> None:
        owner = {"who": message.get("who"), "what": message.get("what")}
        text = f"{owner['who']} has taken over ({owner['what']})"
        self._host.send({"type": "error", "kind": "taken-over", "message": text, "hint": None, "owner": owner})
        self._leave()

    def _stop(self) -> None:
        """Somebody who can send us signals wants the session to end, and not to be begun again, as after a SIGTERM."""
        text = "the app was ended from elsewhere"
        self._host.send({"type": "error", "kind": "stopped", "message": text, "hint": None})
        self._leave()

    def _leave(self) -> None:
        """End all that goes on, remove all that is ours, and end."""
        if not self._runner.leaving:
            self._runner.leave()

    def _finish(self) -> None:
        self._runner.close()
        if self._live is not None:
            self._live.remove()
        if self._entered:
            self._home.leave()
        self._loop.stop()

    # The live folder

    def _open(self, peer: Peer, message: Message, _payload: bytes) -> None:
        folder = message.get("folder") or self._home.path("live")
        live = Live(self._loop, folder, f"{folder}.new")
        files = live.begin(message["from"], hashed=message.get("hash", True))
        self._live = live
        self._runner.folder = folder
        answer(peer, message, {"type": "opened", "folder": folder, "files": files})

    def _require_live(self) -> Live:
        if self._live is None:
            raise BadRequest("put", "no live folder is open")
        return self._live

    def _put(self, peer: Peer, message: Message, payload: bytes) -> None:
        live = self._require_live()
        try:
            live.put(message, payload)
        except (Refused, OSError) as error:
            text = f"{message.get('path')}: {getattr(error, 'strerror', None) or error}"
            live.break_off(text)
            raise BadRequest("put", text) from None

    def _delete(self, peer: Peer, message: Message, _payload: bytes) -> None:
        live = self._require_live()
        try:
            live.delete(message["path"])
        except Refused as error:
            live.break_off(str(error))
            raise BadRequest("put", str(error)) from None

    def _discard(self, peer: Peer, message: Message, _payload: bytes) -> None:
        if self._live is not None:
            self._live.discard()

    def _commit(self, peer: Peer, message: Message, _payload: bytes) -> None:
        pid = self._require_live().commit(lambda told: answer(peer, message, told))
        if pid is not None:
            self._runner.checks.add(pid)
