"""What an attached console does in the app: evaluates and completes."""

from __future__ import annotations

import _thread
import code
import signal
import sys
from _queue import SimpleQueue

from incamera_agent.inapp.listener import own_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Dict, List, Optional

    from incamera_agent.inapp.inspector import Window
    from incamera_agent.wire.frames import Message

_MOST_MATCHES = 200
_PIECE_BYTES = 1 << 16


class Session(code.InteractiveInterpreter):
    """One console, with a thread of its own, so that what it evaluates keeps nobody waiting."""

    def __init__(self, window: Window, number: int) -> None:
        super().__init__(sys.modules["__main__"].__dict__)
        self._window = window
        self._number = number
        self._orders: SimpleQueue[Optional[Message]] = SimpleQueue()
        self._thread = _thread.start_new_thread(self._serve, ())
        self._evaluating = self._ended = False
        self._error: Optional[str] = None

    def take(self, message: Message) -> None:
        if message["type"] == "interrupt":
            if self._evaluating:
                _raise_in(self._thread, KeyboardInterrupt)
        elif message["type"] == "complete":
            # At once, not behind what is being evaluated.
            matches = self._complete(str(message["text"]))
            self._send(message, {"type": "completions", "matches": matches})
        else:
            self._orders.put(message)

    def end(self) -> None:
        self._ended = True
        self._orders.put(None)
        if self._evaluating:
            _raise_in(self._thread, KeyboardInterrupt)

    def write(self, data: str) -> None:
        """Send what was printed to whoever typed."""
        encoded = data.encode("utf-8", "backslashreplace")
        for start in range(0, len(encoded), _PIECE_BYTES):
            self._window.send({"type": "output", "session": self._number}, encoded[start : start + _PIECE_BYTES])

    def flush(self) -> None: ...

    def showtraceback(self) -> None:
        self._error = getattr(sys.exc_info()[0], "__name__", None)
        super().showtraceback()

    def showsyntaxerror(self, filename: Optional[str] = None, **more: Any) -> None:
        self._error = getattr(sys.exc_info()[0], "__name__", None)
        super().showsyntaxerror(filename, **more)

    def runcode(self, code: Any) -> None:
        try:
            super().runcode(code)
        except SystemExit:
            self._error = "SystemExit"
            self.write("the app goes on; leave the console with Ctrl-D\n")

    def _serve(self) -> None:
        # What is started from a console shall hear signals, unlike the thread that began this one.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        own_threads.add(_thread.get_ident())
        going = True
        while going:
            try:
                going = self._serve_one()
            except KeyboardInterrupt:  # it came too late for what it was meant for
                continue
        own_threads.discard(_thread.get_ident())

    def _serve_one(self) -> bool:
        order = self._orders.get()
        if order is None:
            return False
        # The app may have been loaded anew since the last line.
        self.locals = sys.modules["__main__"].__dict__
        self._error = None
        more = False
        _Route.enter(self)
        try:
            self._evaluating = True
            try:
                if self._ended:  # before it began
                    return False
                more = self.runsource(str(order["source"]), "<console>", str(order.get("mode", "single")))
            finally:
                self._evaluating = False
        except KeyboardInterrupt:
            self._error = "KeyboardInterrupt"
            self.write("KeyboardInterrupt\n")
        finally:
            _Route.leave()
        self._send(order, {"type": "evaluated", "more": more, "error": self._error})
        return True

    def _send(self, order: Message, answer: Message) -> None:
        address: Message = {"id": order["id"]} if "id" in order else {}
        self._window.send({**address, **answer, "session": self._number})

    def _complete(self, text: str) -> List[str]:
        completer_module = _import_completer()
        completer = completer_module.Completer(sys.modules["__main__"].__dict__)
        matches: List[str] = []
        while len(matches) < _MOST_MATCHES:
            match = completer.complete(text, len(matches))
            if match is None:
                break
            matches.append(match)
        return matches


class _Route:
    """Stands for sys.stdout or sys.stderr while a console evaluates: what its thread prints is the console's."""

    _routes: ClassVar[Dict[int, Session]] = {}
    _lock = _thread.allocate_lock()

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @classmethod
    def enter(cls, session: Session) -> None:
        with cls._lock:
            if not cls._routes:
                sys.stdout, sys.stderr = cls(sys.stdout), cls(sys.stderr)
            cls._routes[_thread.get_ident()] = session

    @classmethod
    def leave(cls) -> None:
        with cls._lock:
            cls._routes.pop(_thread.get_ident(), None)
            if not cls._routes:
                # Unless what was evaluated has put something else there.
                if isinstance(sys.stdout, cls):
                    sys.stdout = sys.stdout._stream
                if isinstance(sys.stderr, cls):
                    sys.stderr = sys.stderr._stream

    def write(self, data: str) -> int:
        session = self._routes.get(_thread.get_ident())
        if session is None:
            written: int = self._stream.write(data)
            return written
        session.write(data)
        return len(data)

    def flush(self) -> None:
        if _thread.get_ident() not in self._routes:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _import_completer() -> Any:
    # It would take the app's readline for its own.
    had = "readline" in sys.modules
    before = sys.modules.get("readline")
    sys.modules["readline"] = None  # type: ignore[assignment]
    try:
        import rlcompleter
    finally:
        if had:
            sys.modules["readline"] = before  # type: ignore[assignment]
        else:
            del sys.modules["readline"]
    return rlcompleter


def _raise_in(thread: int, error: type) -> None:
    try:
        import ctypes
    except ImportError:  # a bundle may have been trimmed of it
        return
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
