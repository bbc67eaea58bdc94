"""How a fork becomes something else: it leaves all that its parent was doing, and begins anew from `main`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


class Become(BaseException):
    """Raised in a child; `main` catches it and calls *call*. So the child's stack is as short as a fresh start's."""

    def __init__(self, call: Callable[[], int]) -> None:
        super().__init__()
        self.call = call
