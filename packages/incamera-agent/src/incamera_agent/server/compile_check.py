"""Whether new files are Python: found out in a child, so that compiling costs no memory here, and holds up nobody."""

from __future__ import annotations

import json
import os
import sys

from incamera_agent.forkserver.title import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Sequence, Tuple

    from incamera_agent.wire.loop import Loop


def begin(
    loop: Loop, files: Sequence[Tuple[str, str, str, str]], on_end: Callable[[Optional[Dict[str, Any]]], None]
) -> int:
    """Compile *files* in a child, whose number is returned; *on_end* hears of the first that is not Python.

    A file is (its name for the host, where it lies, where it will lie, where its byte-code goes for now). Raises
    OSError where there can be no child.
    """
    ours, theirs = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        for end in (ours, theirs):
            os.close(end)
        raise
    if pid == 0:
        code = 1
        try:
            os.close(ours)
            show(["-m", "incamera_agent", "--check"])
            found = next(filter(None, (_compile(*file) for file in files)), None)
            os.write(theirs, json.dumps(found).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    told = bytearray()

    def read() -> None:
        data = os.read(ours, 1 << 16)
        if data:
            told.extend(data)
            return
        loop.watch(ours)
        os.close(ours)
        # Nothing told: the compiler itself has failed, for lack of memory, say; then Python shall tell when it runs.
        on_end(json.loads(bytes(told)) if told else None)

    loop.watch(ours, read=read)
    return pid


def _line(source: bytes, number: Optional[int]) -> Optional[str]:
    lines = source.splitlines()
    return lines[number - 1].decode("utf-8", "replace")[:1000] if number and number <= len(lines) else None


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
            # Not the error's own: that was read from the old file, which still has the name.
            "text": _line(source, getattr(error, "lineno", None)),
            "message": f"{type(error).__name__}: {getattr(error, 'msg', error)}",
        }
    # PEP 552: of the unchecked kind. Two versions of a file within a second, and of the same size, look the same to
    # Python otherwise; every new version comes past here, and so does its byte-code.
    import _imp
    from importlib.util import MAGIC_NUMBER

    hashed = _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), source)
    try:
        with open(cached, "wb") as stream:
            stream.write(MAGIC_NUMBER + (1).to_bytes(4, "little") + hashed + marshal.dumps(code))
    except OSError:  # no room for it: Python will compile it once more
        if os.path.exists(cached):
            os.unlink(cached)
    return None
