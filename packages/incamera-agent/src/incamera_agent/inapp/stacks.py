"""The stacks of the app's threads. Loaded when somebody asks for them."""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Set


def list_stacks(own_threads: Set[int]) -> List[Dict[str, Any]]:
    """Return the stacks of all threads but *own_threads*, the main thread's first.

    A stack's innermost frame is its last.
    """
    known = {thread.ident: thread for thread in threading.enumerate()}
    main = threading.main_thread().ident
    threads = []
    for ident, frame in sorted(sys._current_frames().items()):
        if ident in own_threads:
            continue
        is_main = ident == main
        thread = known.get(ident)
        name = "MainThread" if is_main else thread.name if thread else f"thread {ident}"
        frames = _list_frames(frame)
        if is_main:
            frames = _skip_agent_frames(frames)
        threads.append({"name": name, "main": is_main, "daemon": bool(thread and thread.daemon), "frames": frames})
    threads.sort(key=lambda thread: not thread["main"])
    return threads


def _list_frames(innermost: Any) -> List[Dict[str, Any]]:
    frames = []
    while innermost is not None:
        code = innermost.f_code
        frames.append({"file": code.co_filename, "line": innermost.f_lineno, "function": code.co_name})
        innermost = innermost.f_back
    frames.reverse()
    return frames


def _skip_agent_frames(frames: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return *frames* without the agent's in front: the stack of a forked run begins with the agent's `main`."""
    package = __file__.rpartition("/inapp/")[0] + "/"
    first = next((number for number, frame in enumerate(frames) if frame["file"].startswith(package)), None)
    if first is None:
        return frames
    while first < len(frames) and frames[first]["file"].startswith(package):
        first += 1
    return frames[first:]
