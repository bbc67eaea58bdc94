"""What an app may keep across a reload, and how it learns that one is wanted.

Without an agent, as in production, `keep` makes the object and `reloading` returns False.
"""

from __future__ import annotations

import atexit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set, TypeVar

    T = TypeVar("T")


class Kept:
    """The objects that outlive a reload, in the order in which they were made."""

    def __init__(self) -> None:
        self.objects: Dict[str, Any] = {}
        self.closers: Dict[str, Optional[Callable[[Any], object]]] = {}
        self.requested: Set[str] = set()
        """The names that the app asked for since it started or was last reloaded."""
        self.on_import: Optional[Callable[[], None]] = None
        """Called when the app imports `reloading`. The control connection sets it; it is called once."""
        self.reload_wanted = False

    def close(self, names: List[str]) -> None:
        """Close and forget the objects *names*, the newest first."""
        for name in reversed(names):
            value = self.objects.pop(name)
            close = self.closers.pop(name)
            if close is not None:
                try:
                    close(value)
                except Exception as error:  # the others must be closed all the same
                    import sys

                    sys.stderr.write(f"closing {name}, which was kept: {type(error).__name__}: {error}\n")

    def close_all(self) -> None:
        self.close(list(self.objects))

    def start_app(self) -> None:
        """Close what the code before the reload did not ask for. Called before the app's code starts."""
        self.close([name for name in self.objects if name not in self.requested])
        self.requested.clear()


kept = Kept()


def keep(name: str, make: Callable[[], T], close: Optional[Callable[[T], object]] = None) -> T:
    """Return what *make* returned the first time, after each reload too.

    *close* is called with the object when the process ends, or at a reload when the code before it did not ask for
    *name*. Raises what *make* raises.
    """
    if name not in kept.objects:
        if not kept.objects:
            atexit.register(kept.close_all)
        kept.objects[name] = make()
    kept.closers[name] = close  # of the newest code
    kept.requested.add(name)
    value: T = kept.objects[name]
    return value


def reloading() -> bool:
    """Return whether new code is waiting, so that the app should return from its main loop."""
    return kept.reload_wanted


def report_import() -> None:
    """Note that the app has imported `reloading`."""
    if kept.on_import is not None:
        call, kept.on_import = kept.on_import, None
        call()
