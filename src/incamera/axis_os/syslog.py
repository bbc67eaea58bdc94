"""What the programs of a camera send to the system log with `syslog`: datagrams of RFC 3164, at /dev/log."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.axis_os.system_log import SystemLog

_MOST_BYTES = 8192
_CREDENTIALS = struct.Struct("iII")  # the process, its user, its group
_LEVELS = ("EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")
_MESSAGE = re.compile(
    r"(?:<(?P<priority>[0-9]{1,3})>)?(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} )?"
    r"(?:(?P<tag>[^\s:\[\]]{1,64})(?:\[[0-9]{1,10}\])?: )?(?P<text>.*)",
    re.DOTALL,
)


def listen_to_syslog(path: Path, log: SystemLog, find_app: Callable[[int], str]) -> socket.socket:
    """Write what comes to the socket *path* into *log*, in a thread of its own. Raises OSError.

    *find_app* returns the name of the app that runs as a user, "" for another one. The thread ends when the socket that
    is returned is shut down.
    """
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    receiver.bind(str(path))
    path.chmod(0o666)
    threading.Thread(target=_receive, args=(receiver, log, find_app), daemon=True).start()
    return receiver


def _receive(receiver: socket.socket, log: SystemLog, find_app: Callable[[int], str]) -> None:
    with receiver:
        while True:
            data, others, _, _ = receiver.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
            if not data and not others:
                return
            pid, user = 0, -1
            for level, kind, content in others:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    with suppress(struct.error):
                        pid, user, _ = _CREDENTIALS.unpack(content)
            app = find_app(user)
            match = _MESSAGE.match(data.decode("utf-8", "replace").rstrip("\n\0"))
            if match is not None:
                level_name = _LEVELS[int(match["priority"] or 6) & 7]
                log.write(match["tag"] or app or "unknown", match["text"], pid=pid, level=level_name, app=app)
