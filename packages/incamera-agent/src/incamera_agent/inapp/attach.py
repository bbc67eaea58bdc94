"""The door of an app that was started plainly: a socket, and a thread that waits until somebody comes.

Python imports this when it starts (runtime/agent.py), where the environment says so. Every start pays for it, so it
imports nothing that takes long, and a mistake here is no reason for an app not to run.
"""

from __future__ import annotations

import _socket
import _thread
import os

from incamera_agent.inapp.listener import Ear, close, raise_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Set

    from incamera_agent.inapp.client import Line

SETTING = "INCAMERA_ATTACH"


_visitors: Set[int] = set()


def begin() -> None:
    setting = os.environ.pop(SETTING, "")  # not for what the app starts
    main = _thread.get_ident()
    try:
        if setting.isdigit():
            _begin_line(raise_descriptor(int(setting)), main)
        else:
            _begin_socket(_listen(setting), main)
    except OSError:
        return


def _begin_line(line: int, main: int) -> None:
    """The agent started us, and passes on what those want who come to it."""
    lines: List[Line] = []

    def hear() -> bool:
        if not lines:
            from incamera_agent.inapp.client import Line

            lines.append(Line(line, main))
        return lines[0].hear()

    Ear(line, hear, lambda: close(line)).begin()


def _begin_socket(listener: int, main: int) -> None:
    folder = os.getcwd()

    def leave() -> None:
        for descriptor in (listener, *_visitors):
            close(descriptor)

    def hear() -> bool:
        try:
            end = _socket.socket(fileno=listener)
        except OSError:  # an app may close every descriptor that it finds
            return False
        try:
            connection, _address = end._accept()  # type: ignore[attr-defined]
        except OSError:  # nobody comes after all
            return True
        finally:
            end.detach()
        _thread.start_new_thread(_receive, (raise_descriptor(connection), main, folder))
        return True

    Ear(listener, hear, leave).begin()


def _listen(path: str) -> int:
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(8)
    listener.setblocking(False)
    return raise_descriptor(listener.detach())


def _receive(connection: int, main: int, folder: str) -> None:
    # Only now: this takes long, and most apps are never visited.
    from incamera_agent.inapp.client import Visitor

    _visitors.add(connection)
    try:
        Visitor(connection, main, folder).serve()
    finally:
        _visitors.discard(connection)
        close(connection)
