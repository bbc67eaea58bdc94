"""Packets between the agent and its fork server: one JSON object each, with open files where some are handed over."""

from __future__ import annotations

# The C module below `socket`, which itself would take a tenth of the agent's start.
import _socket as socket
import array
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence, Tuple

    from incamera_agent.wire.frames import Message

MAXIMUM_BYTES = 192 << 10
_MAXIMUM_FILES = 8


def make_pair() -> Tuple[int, int]:
    """Return two connected sockets, as descriptors.

    Not as objects: those would be closed when a fork drops its references to them. Raises OSError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours.detach(), theirs.detach()


def send(descriptor: int, message: Message, files: Sequence[int] = ()) -> None:
    """Send *message* with copies of the descriptors *files*. Raises OSError: EMSGSIZE for a message too long."""
    end = socket.socket(fileno=descriptor)
    try:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        end.sendmsg([json.dumps(message, separators=(",", ":")).encode()], ancillary)
    finally:
        end.detach()


def receive(descriptor: int) -> Optional[Tuple[Message, List[int]]]:
    """Return the next message and its files, or None when the other end is closed.

    Raises BlockingIOError where *descriptor* does not block and nothing has arrived.
    """
    end = socket.socket(fileno=descriptor)
    space = socket.CMSG_SPACE(_MAXIMUM_FILES * array.array("i").itemsize)
    try:
        try:
            text, ancillary, _flags, _address = end.recvmsg(MAXIMUM_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # The other end was closed before it read all that we sent. The kernel reports that once, and first; what
            # the other end had sent before can be received after that.
            text, ancillary, _flags, _address = end.recvmsg(MAXIMUM_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    finally:
        end.detach()
    if not text:
        return None
    files = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(data[: len(data) - len(data) % files.itemsize])
    return json.loads(text), list(files)
