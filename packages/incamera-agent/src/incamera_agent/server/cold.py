"""A run that is a Python of its own, for what a fork cannot do."""

from __future__ import annotations

import os
import signal
import sys

from incamera_agent.forkserver import spec
from incamera_agent.inapp.attach import SETTING
from incamera_agent.processes import offer_to_kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop

# As for a fork: the app goes first when memory runs out.
_KERNEL_SCORE = 800
# A number that no app expects.
_LINE = 200


def start_cold(loop: Loop, order: Message, files: List[int]) -> int:
    """Start `python3 ARGUMENTS` as a program of its own; return its number.

    *files*: standard input, output, error, and its line to us.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        loop.close()
        os.setsid()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        os.dup2(files[3], _LINE)  # which the door takes up (door.py)
        if order["terminal"]:
            import fcntl
            import termios

            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        offer_to_kernel(_KERNEL_SCORE)
        spec.apply_environment({**order["environment"], SETTING: str(_LINE)})
        os.chdir(order["folder"])
        os.execv(sys.executable, [sys.executable, *order["arguments"]])  # the launcher, in a bundle
    except OSError as error:
        os.write(2, f"cannot start {sys.executable}: {error.strerror}\n".encode())
    finally:
        os._exit(127)
