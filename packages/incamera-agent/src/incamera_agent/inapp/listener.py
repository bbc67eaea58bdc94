"""A thread in the app that waits for what is asked from outside. The app doesn't see it, nor is it warned of it."""

from __future__ import annotations

# What the module `signal` stands on; that one takes long to import.
import _signal  # type: ignore[import-not-found]
import _thread
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Set

# From then on Python warns whoever forks a process that has threads.
_WARNS = sys.version_info >= (3, 12)
# One that nobody uses. It comes at most once after a fork of the app's, when somebody has something to say.
_SIGNAL = _signal.SIGRTMAX - 3
_FIRST_DESCRIPTOR = 200
_REST_SECONDS = 1.0
# <fcntl.h> has them, not every Python's module.
_F_SETSIG, _F_SETOWN_EX, _F_OWNER_TID = 10, 15, 0

own_threads: Set[int] = set()
"""Those of ours; what is told of the app's threads is told without them."""


class Ear:
    """Calls *hear* whenever *descriptor* can be read, until that returns False. *leave*: in a child of the app.

    Where Python warns of threads, ours ends before the app forks. After that the kernel's signal begins it when there
    is something to hear; not before, since then an app whose main thread is busy in C code could not be looked into.
    """

    def __init__(self, descriptor: int, hear: Callable[[], bool], leave: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._hear = hear
        self._leave = leave
        self._pipe: List[int] = []
        self._awake = False
        self._thread = self._task = 0
        self._ended = False

    def begin(self) -> None:
        """For the main thread, before the app begins."""
        os.register_at_fork(after_in_child=self._leave_child)
        if _WARNS:
            self._pipe = [raise_descriptor(end) for end in os.pipe()]
            _signal.signal(_SIGNAL, self._called)
            os.register_at_fork(before=self._rest, after_in_parent=self._look)
        self._start()

    def _start(self) -> None:
        if not self._awake and not self._ended:
            self._awake = True
            self._thread = self._task = 0
            # It is deaf from its first moment, as whoever begins it is meanwhile: or a signal to the app might come to
            # it, and not wake the main thread, whose affair it is.
            before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
            try:
                _thread.start_new_thread(self._listen, ())
            finally:
                _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    def _listen(self) -> None:
        self._thread = _thread.get_ident()
        self._task = _thread.get_native_id()
        own_threads.add(self._thread)
        poll = select.poll()
        for descriptor in (self._descriptor, *self._pipe[:1]):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _events in poll.poll()]
            if self._descriptor in ready:
                if not self._hear():
                    self._ended = True
                    break
            elif ready:
                os.read(self._pipe[0], 1)
                break
        own_threads.discard(self._thread)
        self._awake = False

    # Around a fork.

    def _rest(self) -> None:
        if not self._awake or self._thread == _thread.get_ident():
            return
        self._ask_for_signals(True)
        os.write(self._pipe[1], b"\0")
        limit = time.monotonic() + _REST_SECONDS
        while self._is_there() and time.monotonic() < limit:
            time.sleep(0.0005)

    def _is_there(self) -> bool:
        if not self._task:  # it has just been begun
            return self._awake
        # It is the kernel that Python asks.
        return os.path.exists(f"/proc/self/task/{self._task}")

    def _look(self) -> None:
        """What came while the thread was ending has given no signal."""
        if not self._awake and not self._ended:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if poll.poll(0):
                self._start()

    def _leave_child(self) -> None:
        self._ended = True
        if self._pipe:
            _signal.signal(_SIGNAL, _signal.SIG_DFL)
        for end in self._pipe:
            close(end)
        self._leave()

    # By a signal.

    def _ask_for_signals(self, wanted: bool) -> None:
        import fcntl

        try:
            # To the main thread, which alone heeds signals; its number is the process's.
            owner = b"".join(number.to_bytes(4, sys.byteorder) for number in (_F_OWNER_TID, os.getpid()))
            fcntl.fcntl(self._descriptor, _F_SETSIG, _SIGNAL)
            fcntl.fcntl(self._descriptor, _F_SETOWN_EX, owner)
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | os.O_ASYNC if wanted else flags & ~os.O_ASYNC)
        except OSError:  # an app may close every descriptor that it finds
            self._ended = True

    def _called(self, number: int, frame: object) -> None:
        if not self._awake:
            self._ask_for_signals(False)
            self._start()


def raise_descriptor(descriptor: int) -> int:
    """Give it a number that no app expects: the first free one is 3 for the app, as ever."""
    import fcntl

    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    os.close(descriptor)
    return raised


def close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:  # an app may have closed it
        pass
