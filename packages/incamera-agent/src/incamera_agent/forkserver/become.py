"""How a forked child continues as something else."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


class Become(BaseException):
    """Raised in a child after a fork: `main` catches it and calls *call*, whose result is the exit code.

    So the child leaves everything that its parent was doing, and its stack is as short as after a start of Python.
    """

    def __init__(self, call: Callable[[], int]) -> None:
        super().__init__()
        self.call = call
