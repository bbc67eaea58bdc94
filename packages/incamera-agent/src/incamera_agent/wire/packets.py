"""Between the agent and its warm process: one JSON object a packet, with open files where some are handed over."""

from __future__ import annotations

# What the module `socket` stands on; that one takes a tenth of the agent's start.
import _socket as socket
import array
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence, Tuple

    from incamera_agent.wire.frames import Message

MAXIMUM_BYTES = 192 << 10
_MAXIMUM_FILES = 8


def pair() -> Tuple[int, int]:
    """Return the two ends of a line, as descriptors: objects would close them when a fork forgets them."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours.detach(), theirs.detach()


def send(line: int, message: Message, files: Sequence[int] = ()) -> None:
    """Raises OSError, of EMSGSIZE for a message that is too long."""
    end = socket.socket(fileno=line)
    try:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        end.sendmsg([json.dumps(message, separators=(",", ":")).encode()], ancillary)
    finally:
        end.detach()


def receive(line: int) -> Optional[Tuple[Message, List[int]]]:
    """Return the next message, None when the other end is gone. Raises BlockingIOError where there is none yet."""
    end = socket.socket(fileno=line)
    try:
        space = socket.CMSG_SPACE(_MAXIMUM_FILES * array.array("i").itemsize)
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
