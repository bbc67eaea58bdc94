"""A run: a fork of the fork server that becomes what `python3 ARGUMENTS` would be."""

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

from incamera_agent.forkserver.control import Control
from incamera_agent.forkserver.modules import search_path
from incamera_agent.forkserver.spec import apply_environment, name_terminal, split_options
from incamera_agent.forkserver.title import set_title
from incamera_agent.inapp.listener import watch_for_crashes
from incamera_agent.processes import APP_OOM_SCORE, set_oom_score
from incamera_agent.reload import kept
from incamera_agent.wire.protocol import find_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

    from incamera_agent.wire.frames import Message

# The control connection gets a high number, so that the app's first own descriptor is 3 as usual.
_CONTROL_DESCRIPTOR = 200
_UNCHECKED = 1  # PEP 552: byte-code that is used without a look at its source


def main(request: Message, files: List[int]) -> int:
    """Run what *request* asks for; return and raise as the app does.

    *files* are standard input, output and error, and the control connection.
    """
    os.setsid()
    connection = _take_files(files, terminal=bool(request["terminal"]))
    set_oom_score(APP_OOM_SCORE)
    watch_for_crashes()
    apply_environment(request["environment"])
    if request["terminal"]:
        name_terminal()
    if "TZ" in request["environment"]:
        time.tzset()
    os.chdir(request["folder"])
    unbuffered, _rest = split_options(request["arguments"])
    _make_streams(unbuffered or bool(os.environ.get("PYTHONUNBUFFERED")), lines=request["line_buffered"])
    _reseed()

    control = Control(connection, request)
    control.start()
    # Python finds its folder out like this: behind a link, it is another path.
    return _run(control, os.getcwd(), request["arguments"])


def _run(control: Control, folder: str, arguments: List[str]) -> int:
    """Execute the app, and again after each reload."""
    files = find_files(folder)
    while True:
        kept.start_app()
        raised: Optional[BaseException] = None
        try:
            execute(folder, arguments)
        except BaseException as error:
            raised = error
        # An app that was asked to return for a reload may do so with an exception.
        if not (kept.reload_wanted and control.join_threads()):
            if raised is None:
                return 0
            _skip_agent_frames(raised)
            raise raised
        if raised is not None and not isinstance(raised, SystemExit):
            _skip_agent_frames(raised)
            sys.excepthook(type(raised), raised, raised.__traceback__)
        raised = None
        arguments = control.prepare_reload(folder, files)


def execute(folder: str, arguments: List[str]) -> None:
    """Do what the interpreter does with its command line. Raises what the app raises."""
    set_title(arguments)
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
        _cache_lines(rest[1])
        exec(_clean_errors(lambda: compile(rest[1], "<string>", "exec", dont_inherit=True)), space)
    else:
        path = os.path.join(folder, rest[0])
        _set_path(os.path.dirname(os.path.realpath(path)))
        space.update(__file__=path, __cached__=None, __loader__=importlib.machinery.SourceFileLoader("__main__", path))
        exec(_clean_errors(lambda: _load_code(path)), space)


def _cache_lines(source: str) -> None:
    """From Python 3.13 on, tracebacks show the lines of a `-c` command: have them found."""
    if sys.version_info >= (3, 13):
        import linecache

        lines = [f"{line}\n" for line in source.splitlines()]
        linecache.cache["<string>"] = (len(source), None, lines, "<string>")


def _clean_errors(compile_app: Any) -> Any:
    """Call *compile_app*; an error in the app's text is raised without the agent's frames."""
    try:
        return compile_app()
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
    sys.path[:] = search_path if getattr(sys.flags, "safe_path", False) else [first, *search_path]


def _take_files(files: List[int], *, terminal: bool) -> int:
    """Make *files* the standard streams; return the descriptor of the control connection."""
    connection = fcntl.fcntl(files[3], fcntl.F_DUPFD_CLOEXEC, _CONTROL_DESCRIPTOR)
    # Moved away first: they may have the numbers 0 to 2 themselves.
    high = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _CONTROL_DESCRIPTOR) for file in files[:3]]
    for file in files:
        os.close(file)
    for number, file in enumerate(high):
        os.dup2(file, number)
        os.close(file)
    if terminal:
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    return connection


def _make_streams(unbuffered: bool, *, lines: bool) -> None:
    """Make sys.stdin, stdout and stderr as the interpreter does when it starts. *lines*: line-buffer stdout."""
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


def _reseed() -> None:
    """Give numpy's random generator a new state. Python's own does that in every fork by itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _skip_agent_frames(error: BaseException) -> None:
    """Let the traceback of *error* begin where the app does, in whichever way it is shown."""
    package = __file__.rpartition("/forkserver/")[0] + "/"
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(package):
        trace = trace.tb_next
    hook = sys.excepthook

    def show(kind: type, value: BaseException, _trace: object) -> None:
        # The agent's frames are in the traceback again: each adds itself while the exception passes through it.
        sys.excepthook = hook
        hook(kind, value.with_traceback(trace), trace)

    sys.excepthook = show
    error.__traceback__ = trace
