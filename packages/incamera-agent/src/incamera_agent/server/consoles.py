"""Who is attached to which run, and which answer is for whom."""

from __future__ import annotations

from incamera_agent.wire.answers import BadRequest, answer, answer_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple

    from incamera_agent.server.run import Run
    from incamera_agent.server.supervisor import Runner
    from incamera_agent.wire.connection import Peer
    from incamera_agent.wire.frames import Message


class Consoles:
    runner: Runner

    def __init__(self, host: Peer) -> None:
        self._host = host
        self._count = 0
        self._sessions: Dict[int, Tuple[Peer, Run]] = {}
        self._asking: Dict[int, Tuple[Peer, Run, Message]] = {}

    def attach(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_inside(message)
        self._count += 1
        session = self._count
        self._sessions[session] = (peer, run)
        assert run.inside is not None
        run.inside.send({"type": "attach", "session": session})
        told = {"type": "attached", "session": session, "run": run.name, "pid": run.pid}
        answer(peer, message, {**told, "folder": run.request["folder"]})

    def _require_inside(self, message: Message) -> Run:
        run = self.runner.require_run(message)
        if run.inside is None or run.inside.closed:
            raise BadRequest("no-run", f"{run.name} has closed what one would attach to")
        return run

    def detach(self, peer: Peer, message: Message, _payload: bytes) -> None:
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

    def pass_on(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_session(peer, message)
        assert run.inside is not None
        run.inside.send(message)

    def stacks(self, peer: Peer, message: Message, _payload: bytes) -> None:
        run = self._require_inside(message)
        assert run.inside is not None
        self._count += 1
        self._asking[self._count] = (peer, run, message)
        order = {"type": "stacks", "client": self._count}
        run.inside.send({**order, "id": message["id"]} if "id" in message else order)

    def hear(self, run: Run, message: Message, payload: bytes) -> None:
        """Pass on what a run answers, to whom it is for."""
        if "client" in message:
            peer, _run, _asked = self._asking.pop(message.pop("client"), (None, None, None))
        else:
            peer, _run = self._sessions.get(message.get("session", 0), (None, None))
        if peer is not None:
            peer.send(message, payload)
            if peer.full and run.inside is not None:
                run.inside.rest(peer)

    def end(self, run: Run) -> None:
        """It has ended, and answers nothing any more, whatever follows it."""
        for number, (peer, other, asked) in list(self._asking.items()):
            if other is run:
                del self._asking[number]
                answer_error(peer, asked, "no-run", "the app has ended meanwhile")

    def tell(self, run: Run, news: Message) -> None:
        """Tell those who are attached; the host has heard it. A run that follows another has the same name."""
        attached = {session: peer for session, (peer, other) in self._sessions.items() if other.name == run.name}
        for peer in set(attached.values()) - {self._host}:
            peer.send(news)
        if news["type"] != "reloaded":
            for session in attached:
                del self._sessions[session]

    def lose(self, peer: Peer) -> None:
        """Somebody has gone."""
        self._asking = {number: asking for number, asking in self._asking.items() if asking[0] is not peer}
        for session, (owner, _run) in list(self._sessions.items()):
            if owner is peer:
                self._detach(session)
