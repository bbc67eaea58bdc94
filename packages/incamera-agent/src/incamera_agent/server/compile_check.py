"""Whether new files are valid Python. A child compiles them, so that the agent neither grows nor waits."""

from __future__ import annotations

import json
import os
import sys

from incamera_agent.forkserver.title import set_title
from incamera_agent.wire.protocol import MODULE, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Sequence, Tuple

    from incamera_agent.wire.loop import EventLoop


_LONGEST_RESULT = 1 << 20


def start_check(
    loop: EventLoop, files: Sequence[Tuple[str, str, str, str]], on_end: Callable[[Optional[Dict[str, Any]]], None]
) -> int:
    """Start a child that compiles *files* and writes their byte-code; return its process number.

    A file is its name for the host, where its content is, where it will be, and where its byte-code goes for now.
    *on_end* is called with the first syntax error (`path`, `line`, `column`, `text`, `message`), or None without one.
    Raises OSError when no child can be started.
    """
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        for end in (reader, writer):
            os.close(end)
        raise
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            set_title(["-m", MODULE, Option.COMPILE_CHECK])
            found = next(filter(None, (_compile(*file) for file in files)), None)
            os.write(writer, json.dumps(found).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    result = bytearray()

    def read() -> None:
        data = os.read(reader, 1 << 16)
        if data:
            result.extend(data[: _LONGEST_RESULT - len(result)])
            return
        loop.watch(reader)
        os.close(reader)
        # Without a result the child itself has failed, for lack of memory perhaps. Then the files are taken as they
        # are, and a syntax error shows when the app runs.
        on_end(_parse_result(bytes(result)))

    loop.watch(reader, read=read)
    return pid


def _parse_result(text: bytes) -> Optional[Dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:  # the child was killed, perhaps while it wrote
        return None
    return found if isinstance(found, dict) else None


def _compile(name: str, staged: str, final: str, cached: str) -> Optional[Dict[str, Any]]:
    import marshal
    import warnings

    warnings.simplefilter("ignore")
    with open(staged, "rb") as stream:
        source = stream.read()
    try:
        code = compile(source, final, "exec", dont_inherit=True, optimize=sys.flags.optimize)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {
            "path": name,
            "line": getattr(error, "lineno", None),
            "column": getattr(error, "offset", None),
            # Not the error's own text: Python read that from the file at *final*, which is still the old one.
            "text": _find_line(source, getattr(error, "lineno", None)),
            "message": f"{type(error).__name__}: {getattr(error, 'msg', error)}"[:1000],
        }
    # PEP 552: byte-code of the unchecked kind. Python's usual kind is valid for any source of the same size and second,
    # and two edits may be made within one second. Every new source comes with its new byte-code from here.
    import _imp
    from importlib.util import MAGIC_NUMBER

    hashed = _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), source)
    try:
        with open(cached, "wb") as stream:
            stream.write(MAGIC_NUMBER + (1).to_bytes(4, "little") + hashed + marshal.dumps(code))
    except OSError:  # no room for it: Python compiles the file once more when it is imported
        if os.path.exists(cached):
            os.unlink(cached)
    return None


def _find_line(source: bytes, number: Optional[int]) -> Optional[str]:
    lines = source.splitlines()
    return lines[number - 1].decode("utf-8", "replace")[:1000] if number and number <= len(lines) else None
