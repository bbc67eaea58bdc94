"""The user's end of a run: standard input, output and error as file descriptors, and the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from incamera.transport.protocols import Terminal

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Streams:
    """The file descriptors that a run reads from and writes to."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2

    def find_terminal(self) -> Terminal | None:
        """Return the user's terminal, None unless both standard input and standard output are one."""
        if not (os.isatty(self.stdin) and os.isatty(self.stdout)):
            return None
        columns, rows = self.terminal_size()
        return Terminal(os.environ.get("TERM") or "vt100", columns, rows)

    def has_input(self) -> bool:
        """Return whether something may come on standard input: not where it is /dev/null."""
        try:
            return not os.path.samestat(os.fstat(self.stdin), Path(os.devnull).stat())
        except OSError:
            return True

    def terminal_size(self) -> tuple[int, int]:
        """Return the terminal's columns and rows. Raises OSError where standard output is none."""
        size = os.get_terminal_size(self.stdout)
        return size.columns or 80, size.lines or 24


def write_all(descriptor: int, data: bytes) -> None:
    """Write *data*, waiting while *descriptor* takes no more. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


async def copy_input(descriptor: int, write: Callable[[bytes], Awaitable[None]]) -> None:
    """Pass what is typed or piped to us to *write*, until its end or until this task is cancelled."""
    loop = asyncio.get_running_loop()
    wake_read, wake_write = os.pipe()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    wanted = threading.Semaphore(4)

    def read() -> None:
        # A thread, since not every file can be polled. The pipe wakes it when the app has ended, so that the next
        # program gets what is typed after that.
        try:
            while wanted.acquire():
                ready, _, _ = select.select([descriptor, wake_read], [], [])
                if wake_read in ready:
                    return
                data = os.read(descriptor, _CHUNK)
                loop.call_soon_threadsafe(chunks.put_nowait, data)
                if not data:
                    return
        except (OSError, ValueError, RuntimeError):
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(chunks.put_nowait, b"")
        finally:
            os.close(wake_read)

    threading.Thread(target=read, name="incamera-stdin", daemon=True).start()
    try:
        while data := await chunks.get():
            await write(data)
            wanted.release()
    finally:
        os.close(wake_write)
        wanted.release()


@contextmanager
def raw_terminal(descriptor: int, *, keep_interrupt: bool = False) -> Iterator[None]:
    """Put the terminal into raw mode, so that every key goes to the device, until the block is left.

    With *keep_interrupt* Ctrl-C stays a signal to this process, and newlines in our own output work as usual.
    """
    import termios  # lazy: not on Windows
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        if keep_interrupt:
            mode = termios.tcgetattr(descriptor)
            disabled = os.fpathconf(descriptor, "PC_VDISABLE").to_bytes(1, "little")
            mode[tty.OFLAG] = before[tty.OFLAG]
            mode[tty.LFLAG] |= termios.ISIG
            mode[tty.CC][termios.VQUIT] = mode[tty.CC][termios.VSUSP] = disabled
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, mode)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
