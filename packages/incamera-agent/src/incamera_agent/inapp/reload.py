"""What an app may keep across a reload, and how it learns that one is wanted.

Without an agent, in production, all of it is there and does nothing unusual: `keep` makes, `reloading` says no.
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
        self.asked: Set[str] = set()
        # Set by the agent's side, and called once.
        self.on_listening: Optional[Callable[[], None]] = None
        self.wanted = False

    def close(self, names: List[str]) -> None:
        """Give up objects, the newest first."""
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

    def begin(self) -> None:
        """A new app begins; what the one before it hasn't asked for any more is closed."""
        self.close([name for name in self.objects if name not in self.asked])
        self.asked.clear()


kept = Kept()


def keep(name: str, make: Callable[[], T], close: Optional[Callable[[T], object]] = None) -> T:
    """Return what *make* returned the first time, again and again, after each reload too.

    *close* is called with it when the app ends, or does not ask for it any more.
    """
    if name not in kept.objects:
        if not kept.objects:
            atexit.register(kept.close_all)
        kept.objects[name] = make()
    kept.closers[name] = close  # the newest code's
    kept.asked.add(name)
    value: T = kept.objects[name]
    return value


def reloading() -> bool:
    """Tell whether the app's loop shall return, since new code is waiting."""
    return kept.wanted


def tell_listening() -> None:
    """The app has got hold of `reloading`."""
    if kept.on_listening is not None:
        tell, kept.on_listening = kept.on_listening, None
        tell()
