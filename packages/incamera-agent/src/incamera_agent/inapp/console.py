"""A console attached to the app: evaluates and completes in the app's process. Loaded when somebody attaches."""

from __future__ import annotations

import _thread
import code
import signal
import sys
import traceback
from _queue import SimpleQueue

from incamera_agent.wire.protocol import Answer, Event, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, ClassVar, Dict, List, Optional, Set

    from incamera_agent.wire.frames import Message

_MAXIMUM_MATCHES = 200
# How many requests wait for the one that is being evaluated.
_MAXIMUM_WAITING = 64
_PIECE_BYTES = 1 << 16


class Console(code.InteractiveInterpreter):
    """Evaluates in a thread of its own, so that nothing else waits for what is being evaluated.

    *send* sends a message with a payload to the client, from any thread; *session* is the console's number.
    *own_threads* are the identifiers of the agent's threads in this process.
    """

    def __init__(self, send: Callable[[Message, bytes], None], session: int, own_threads: Set[int]) -> None:
        super().__init__(sys.modules["__main__"].__dict__)
        self._send = send
        self._session = session
        self._own_threads = own_threads
        self._requests: SimpleQueue[Optional[Message]] = SimpleQueue()
        self._thread = _thread.start_new_thread(self._serve, ())
        self._evaluating = self._ended = False
        self._error: Optional[str] = None

    def take(self, request: Message) -> None:
        """Interrupt or complete at once; queue what is to be evaluated."""
        if request["type"] == Request.INTERRUPT:
            if self._evaluating:
                _raise_in(self._thread, KeyboardInterrupt)
        elif request["type"] == Request.COMPLETE:
            matches = self._complete(str(request["text"]))
            self._answer(request, {"type": Answer.COMPLETIONS, "matches": matches})
        elif self._requests.qsize() >= _MAXIMUM_WAITING:
            raise OverflowError(f"{_MAXIMUM_WAITING} requests wait already")
        else:
            self._requests.put(request)

    def end(self) -> None:
        """End the thread, and interrupt what it evaluates."""
        self._ended = True
        self._requests.put(None)
        if self._evaluating:
            _raise_in(self._thread, KeyboardInterrupt)

    # What InteractiveInterpreter calls

    def write(self, data: str) -> None:
        """Send *data* to the client as output."""
        encoded = data.encode("utf-8", "backslashreplace")
        for start in range(0, len(encoded), _PIECE_BYTES):
            self._send({"type": Event.OUTPUT, "session": self._session}, encoded[start : start + _PIECE_BYTES])

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
            self.write("the app keeps running; leave the console with Ctrl-D\n")

    # The thread

    def _serve(self) -> None:
        # The listener's thread blocks all signals, and this one inherited that. Programs started from the console
        # inherit it in turn, and should not.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        self._own_threads.add(_thread.get_ident())
        serving = True
        while serving:
            try:
                serving = self._serve_one()
            except KeyboardInterrupt:  # what it was meant to interrupt has ended
                continue
        self._own_threads.discard(_thread.get_ident())

    def _serve_one(self) -> bool:
        request = self._requests.get()
        if request is None:
            return False
        # A reload may have replaced the module since the last request.
        self.locals = sys.modules["__main__"].__dict__
        self._error = None
        more = False
        _Redirect.enter(self)
        try:
            self._evaluating = True
            try:
                if self._ended:  # while the request waited
                    return False
                more = self.runsource(str(request["source"]), "<console>", str(request.get("mode", "single")))
            finally:
                self._evaluating = False
        except KeyboardInterrupt:
            self._error = "KeyboardInterrupt"
            self.write("KeyboardInterrupt\n")
        except BaseException as error:  # of the compiler, for what is nested too deep; of a hook that the app has set
            self._error = type(error).__name__
            self.write("".join(traceback.format_exception_only(type(error), error)))
        finally:
            _Redirect.leave()
        self._answer(request, {"type": Answer.EVALUATED, "more": more, "error": self._error})
        return True

    def _answer(self, request: Message, answer: Message) -> None:
        number = request.get("id")
        address: Message = {"id": number} if isinstance(number, (int, str)) else {}
        self._send({**address, **answer, "session": self._session}, b"")

    def _complete(self, text: str) -> List[str]:
        completer_module = _import_completer()
        completer = completer_module.Completer(sys.modules["__main__"].__dict__)
        matches: List[str] = []
        while len(matches) < _MAXIMUM_MATCHES:
            match = completer.complete(text, len(matches))
            if match is None:
                break
            matches.append(match)
        return matches


class _Redirect:
    """Replaces sys.stdout and sys.stderr while a console evaluates: what its thread prints goes to its client."""

    _consoles: ClassVar[Dict[int, Console]] = {}
    _lock = _thread.allocate_lock()

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @classmethod
    def enter(cls, console: Console) -> None:
        with cls._lock:
            if not cls._consoles:
                sys.stdout, sys.stderr = cls(sys.stdout), cls(sys.stderr)
            cls._consoles[_thread.get_ident()] = console

    @classmethod
    def leave(cls) -> None:
        with cls._lock:
            cls._consoles.pop(_thread.get_ident(), None)
            if not cls._consoles:
                # What was evaluated may have put another stream there: leave that.
                if isinstance(sys.stdout, cls):
                    sys.stdout = sys.stdout._stream
                if isinstance(sys.stderr, cls):
                    sys.stderr = sys.stderr._stream

    def write(self, data: str) -> int:
        console = self._consoles.get(_thread.get_ident())
        if console is None:
            written: int = self._stream.write(data)
            return written
        console.write(data)
        return len(data)

    def flush(self) -> None:
        if _thread.get_ident() not in self._consoles:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _import_completer() -> Any:
    """Import `rlcompleter` without `readline`: it would install itself in the app's readline."""
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
    """Raise *error* in another thread, once that executes Python code."""
    try:
        import ctypes
    except ImportError:  # a bundle may have been built without it
        return
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
