"""A thread in the app's process that waits for requests from outside, hidden from the app.

An app that can be attached to loads this one module when it starts, and nothing more until somebody attaches, since
every start pays for it. It imports only C modules for that reason: `_signal` and `_socket`, not `signal` and `socket`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import _thread
import faulthandler
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Set

    from incamera_agent.inapp.client import ControlLine

# From 3.12 on, Python warns when a process with several threads forks.
_FORK_WARNS = sys.version_info >= (3, 12)
# A signal that nothing else uses. The kernel sends it at most once after a fork of the app, when a request arrives.
_SIGNAL = _signal.SIGRTMAX - 3
_FIRST_DESCRIPTOR = 200
_END_SECONDS = 1.0
# Each client has a thread.
_MAXIMUM_CLIENTS = 16
# From <fcntl.h>: not every Python's module has them.
_F_SETSIG, _F_SETOWN_EX, _F_OWNER_TID = 10, 15, 0

own_threads: Set[int] = set()
"""Identifiers of the agent's threads in this process, which are left out of reports about the app's threads."""


class Listener:
    """Calls *on_readable* in a thread whenever *descriptor* can be read, until that returns False.

    *on_fork* is called in each child that the app forks, to close what the child must not share.

    Where Python warns of threads, the thread ends before the app forks. After that the kernel's signal starts it again
    when *descriptor* can be read. It is not used from the start, because Python handles signals in the main thread
    only: an app whose main thread is busy in C code could not be attached to.
    """

    def __init__(self, descriptor: int, on_readable: Callable[[], bool], on_fork: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_readable = on_readable
        self._on_fork = on_fork
        self._stop_pipe: List[int] = []
        self._running = False
        self._thread = self._kernel_thread = 0
        self._ended = False

    def start(self) -> None:
        """Start listening. Call it in the main thread, before the app starts."""
        os.register_at_fork(after_in_child=self._after_fork_in_child)
        if _FORK_WARNS:
            self._stop_pipe = [raise_descriptor(end) for end in os.pipe()]
            _signal.signal(_SIGNAL, self._handle_signal)
            os.register_at_fork(before=self._stop_thread, after_in_parent=self._start_if_readable)
        self._start_thread()

    def _start_thread(self) -> None:
        if not self._running and not self._ended:
            self._running = True
            self._thread = self._kernel_thread = 0
            # Block all signals in the new thread so that they reach the main thread, which handles them. It inherits
            # this thread's mask, so they are blocked here until it exists.
            before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
            listening = _thread.allocate_lock()
            listening.acquire()
            try:
                _thread.start_new_thread(self._listen, (listening.release,))
            finally:
                _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
            # A new thread frees memory before it holds Python's lock. At the end of its start, Python exchanges the
            # allocator of that memory for a moment (`_PyPathConfig_UpdateGlobal`): with -X dev, the wrong one would be
            # called, and the app aborted.
            listening.acquire()

    def _listen(self, on_listening: Callable[[], None]) -> None:
        self._thread = _thread.get_ident()
        self._kernel_thread = _thread.get_native_id()
        own_threads.add(self._thread)
        on_listening()
        poll = select.poll()
        for descriptor in (self._descriptor, *self._stop_pipe[:1]):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _events in poll.poll()]
            if self._descriptor in ready:
                if not self._on_readable():
                    self._ended = True
                    break
            elif ready:
                os.read(self._stop_pipe[0], 1)
                break
        own_threads.discard(self._thread)
        self._running = False

    # Around a fork of the app

    def _stop_thread(self) -> None:
        if not self._running or self._thread == _thread.get_ident():
            return
        self._request_signals(True)
        os.write(self._stop_pipe[1], b"\0")
        deadline = time.monotonic() + _END_SECONDS
        while self._thread_exists() and time.monotonic() < deadline:
            time.sleep(0.0005)

    def _thread_exists(self) -> bool:
        if not self._kernel_thread:  # it has just been started
            return self._running
        # Python counts the kernel's threads before it warns, so ask the kernel.
        return os.path.exists(f"/proc/self/task/{self._kernel_thread}")

    def _start_if_readable(self) -> None:
        """Start again for a request that arrived while the thread was ending: the kernel sent no signal for it."""
        if not self._running and not self._ended:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if poll.poll(0):
                self._start_thread()

    def _after_fork_in_child(self) -> None:
        self._ended = True
        if self._stop_pipe:
            _signal.signal(_SIGNAL, _signal.SIG_DFL)
        for end in self._stop_pipe:
            close(end)
        self._on_fork()

    def _request_signals(self, wanted: bool) -> None:
        import fcntl

        try:
            # To the main thread, which handles signals: its number is the process's.
            owner = b"".join(number.to_bytes(4, sys.byteorder) for number in (_F_OWNER_TID, os.getpid()))
            fcntl.fcntl(self._descriptor, _F_SETSIG, _SIGNAL)
            fcntl.fcntl(self._descriptor, _F_SETOWN_EX, owner)
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | os.O_ASYNC if wanted else flags & ~os.O_ASYNC)
        except OSError:  # an app may close every descriptor that it finds
            self._ended = True

    def _handle_signal(self, number: int, frame: object) -> None:
        if not self._running:
            self._request_signals(False)
            self._start_thread()


def watch_for_crashes() -> None:
    """Have a crash in C code print where it was, and the Python stack.

    That of one thread: the others are not to blame, and one is ours.
    """
    faulthandler.enable(2, all_threads=False)
    # Not among faulthandler's own: GLib ends programs with it, and so does __builtin_trap() on aarch64.
    faulthandler.register(_signal.SIGTRAP, 2, all_threads=False, chain=True)
    try:
        __import__("incamera_agent._crash")  # a compiled module, which only a camera's runtime has
    except ImportError:
        pass


def begin(setting: str) -> None:
    """Make the app attachable. Python calls this when it starts, from the runtime's `.pth` file.

    *setting* is the path of the attach socket to open, or the number of a descriptor: the agent's control line.
    Whatever fails, the app runs all the same.
    """
    main_thread = _thread.get_ident()
    watch_for_crashes()
    try:
        if setting.isdigit():
            _listen_to_agent(raise_descriptor(int(setting)), main_thread)
        else:
            _listen_on_socket(_open_socket(setting), main_thread)
    except OSError:
        return


def _listen_to_agent(descriptor: int, main_thread: int) -> None:
    line: List[ControlLine] = []

    def read() -> bool:
        if not line:
            from incamera_agent.inapp.client import ControlLine

            line.append(ControlLine(descriptor, own_threads, main_thread))
        return line[0].read()

    Listener(descriptor, read, lambda: close(descriptor)).start()


def _listen_on_socket(socket: int, main_thread: int) -> None:
    folder = os.getcwd()
    files = _find_files(folder)
    connections: Set[int] = set()

    def close_all() -> None:
        for descriptor in (socket, *connections):
            close(descriptor)

    def accept() -> bool:
        try:
            listener = _socket.socket(fileno=socket)
        except OSError:  # an app may close every descriptor that it finds
            return False
        try:
            connection, _address = listener._accept()  # type: ignore[attr-defined]
        except OSError:  # the client has gone again
            return True
        finally:
            listener.detach()
        if len(connections) >= _MAXIMUM_CLIENTS:
            os.close(connection)
        else:
            descriptor = raise_descriptor(connection)
            connections.add(descriptor)
            _thread.start_new_thread(serve, (descriptor,))
        return True

    def serve(connection: int) -> None:
        # Loaded now, because most apps are never attached to.
        from incamera_agent.inapp.client import Client

        try:
            Client(connection, own_threads, main_thread, folder, files).serve()
        finally:
            connections.discard(connection)
            close(connection)

    Listener(socket, accept, close_all).start()


def _find_files(folder: str) -> str:
    """Return what `wire.protocol.find_files` does, now: a deploy changes it. That module is loaded by few apps."""
    around, _, name = folder.rpartition("/")
    try:
        return os.readlink(f"{around}/files") if name == "app" else ""
    except OSError:
        return ""


def _open_socket(path: str) -> int:
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(8)
    listener.setblocking(False)
    return raise_descriptor(listener.detach())


def raise_descriptor(descriptor: int) -> int:
    """Move *descriptor* to a number of 200 or more, so that the app's first own descriptor is 3 as usual."""
    import fcntl

    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    os.close(descriptor)
    return raised


def close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:  # an app may have closed it
        pass
