"""A run: a fork of the warm process that becomes what `python3 ARGUMENTS` would have been."""

from __future__ import annotations

import builtins
import fcntl
import importlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import time
import types

from incamera_agent.forkserver.control import Inside
from incamera_agent.forkserver.modules import plain_path
from incamera_agent.forkserver.spec import apply_environment, split_options
from incamera_agent.forkserver.title import show
from incamera_agent.inapp.reload import kept
from incamera_agent.processes import offer_to_kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

    from incamera_agent.wire.frames import Message

# When memory runs out, the app is the first to go: before the agent, and before all that makes a camera of the camera.
_KERNEL_SCORE = 800
# The line to the agent has a number that no app expects, and the first free one is 3, as ever.
_LINE = 200
_UNCHECKED = 1  # PEP 552: byte-code that is used without a look at its source


def main(request: Message, files: List[int]) -> int:
    """*files*: standard input, output, error, and the line to the agent. Returns and raises as the app does."""
    os.setsid()
    line = _take_streams(files, terminal=bool(request["terminal"]))
    offer_to_kernel(_KERNEL_SCORE)
    apply_environment(request["environment"])
    if "TZ" in request["environment"]:
        time.tzset()
    os.chdir(request["folder"])
    unbuffered, _rest = split_options(request["arguments"])
    _renew_streams(unbuffered or bool(os.environ.get("PYTHONUNBUFFERED")), lines=request["line_buffered"])
    _renew_random()

    inside = Inside(line, request)
    inside.begin()
    return _run(inside, request["folder"], request["arguments"])


def _run(inside: Inside, folder: str, arguments: List[str]) -> int:
    while True:
        kept.begin()
        raised: Optional[BaseException] = None
        try:
            execute(folder, arguments)
        except BaseException as error:
            raised = error
        # An app that was asked to return may do so in any way.
        if not (kept.wanted and inside.await_threads()):
            if raised is None:
                return 0
            _leave_out_ours(raised)
            raise raised
        if raised is not None and not isinstance(raised, SystemExit):
            _leave_out_ours(raised)
            sys.excepthook(type(raised), raised, raised.__traceback__)
        raised = None
        arguments = inside.renew(folder)


def execute(folder: str, arguments: List[str]) -> None:
    """Do what the interpreter does with its command line."""
    show(arguments)
    _unbuffered, rest = split_options(arguments)
    sys.argv = list(rest)
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = [sys.executable, *arguments]
    main_module = types.ModuleType("__main__")
    space = main_module.__dict__
    space.update(__builtins__=builtins, __loader__=importlib.machinery.BuiltinImporter)
    if sys.version_info < (3, 14):
        space["__annotations__"] = {}
    sys.modules["__main__"] = main_module
    if rest[0] == "-m":
        import runpy

        sys.argv = ["-m", *rest[2:]]
        _set_path(folder)
        runpy._run_module_as_main(rest[1])  # type: ignore[attr-defined]
    elif rest[0] == "-c":
        sys.argv = ["-c", *rest[2:]]
        _set_path("")
        _remember_command(rest[1])
        exec(_own_errors(lambda: compile(rest[1], "<string>", "exec", dont_inherit=True)), space)
    else:
        path = os.path.join(folder, rest[0])
        _set_path(os.path.dirname(os.path.abspath(path)))
        space.update(__file__=path, __cached__=None, __loader__=importlib.machinery.SourceFileLoader("__main__", path))
        exec(_own_errors(lambda: _load_code(path)), space)


def _remember_command(source: str) -> None:
    """From 3.13 on, tracebacks show the lines of a command."""
    if sys.version_info >= (3, 13):
        import linecache

        lines = [f"{line}\n" for line in source.splitlines()]
        linecache.cache["<string>"] = (len(source), None, lines, "<string>")


def _own_errors(make: Any) -> Any:
    """Call *make*; where the app's text is at fault, the traceback begins and ends with it."""
    try:
        return make()
    except (SyntaxError, ValueError) as error:
        error.__traceback__ = None
        error.__context__ = None
        raise


def _load_code(path: str) -> types.CodeType:
    cached = importlib.util.cache_from_source(path)
    try:
        with open(cached, "rb") as stream:
            head = stream.read(8)
    except OSError:
        head = b""
    if head[:4] == importlib.util.MAGIC_NUMBER and int.from_bytes(head[4:8], "little") == _UNCHECKED:
        code = importlib.machinery.SourceFileLoader("__main__", path).get_code("__main__")
        if code is not None:
            return code
    with open(path, "rb") as stream:
        return compile(stream.read(), path, "exec", dont_inherit=True)


def _set_path(first: str) -> None:
    sys.path[:] = plain_path if getattr(sys.flags, "safe_path", False) else [first, *plain_path]


def _take_streams(files: List[int], *, terminal: bool) -> int:
    line = fcntl.fcntl(files[3], fcntl.F_DUPFD_CLOEXEC, _LINE)
    # They may have low numbers themselves: out of the way first.
    high = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _LINE) for file in files[:3]]
    for file in files:
        os.close(file)
    for number, file in enumerate(high):
        os.dup2(file, number)
        os.close(file)
    if terminal:
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    return line


def _renew_streams(unbuffered: bool, *, lines: bool) -> None:
    """Make sys.stdin, stdout and stderr as the interpreter does when it starts."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        old = getattr(sys, f"__{name}__")
        raw: Any = io.FileIO(number, f"{mode}b", closefd=False)
        terminal = raw.isatty()
        buffer = raw
        if mode == "r":
            buffer = io.BufferedReader(raw)
        elif not unbuffered:
            buffer = io.BufferedWriter(raw)
        raw.name = f"<{name}>"
        stream = io.TextIOWrapper(
            buffer,
            encoding=old.encoding,
            errors=old.errors,
            newline="\n",
            line_buffering=not unbuffered and (terminal or lines or name == "stderr"),
            write_through=unbuffered,
        )
        stream.mode = mode  # type: ignore[misc]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _renew_random() -> None:
    """Python's own generator begins anew in every fork; others must be told."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _leave_out_ours(error: BaseException) -> None:
    """Let the traceback begin where the app does, however it is shown."""
    ours = __file__.rpartition("/forkserver/")[0] + "/"
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(ours):
        trace = trace.tb_next
    hook = sys.excepthook

    def show(kind: type, value: BaseException, _trace: object) -> None:
        sys.excepthook = hook
        hook(kind, value.with_traceback(trace), trace)

    sys.excepthook = show
    error.__traceback__ = trace
