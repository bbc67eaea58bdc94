"""How requests are answered."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from incamera_agent.wire.connection import Peer
    from incamera_agent.wire.frames import Message


class BadRequest(Exception):
    """What was asked cannot be; *kind* as in the protocol."""

    def __init__(self, kind: str, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.hint = hint


def answer(peer: Peer, request: Message, message: Message) -> None:
    """Send *message* as the answer to *request*, which it is known by."""
    peer.send({**message, "id": request["id"]} if "id" in request else message)


def answer_error(peer: Peer, request: Message, kind: str, message: str, hint: Optional[str] = None) -> None:
    answer(peer, request, {"type": "error", "kind": kind, "message": message, "hint": hint})
