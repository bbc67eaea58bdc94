"""Work that starts in a background thread, before its result is needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from incamera.waiting import await_result

if TYPE_CHECKING:
    from incamera.context import Context

# How long an interrupted command waits for the background thread to clean up.
_GRACE_SECONDS = 5.0

T = TypeVar("T")


class Background(Generic[T]):
    """Runs *work* once, in a thread, when `start` or `result` is called.

    Leaving the `with` block waits for the thread. After Ctrl-C it stops downloads, and waits for five seconds at most.
    """

    def __init__(self, context: Context, work: Callable[[], T]) -> None:
        self._context = context
        self._work = work
        self._future: Future[T] = Future()
        # A daemon thread: the interpreter would wait for the threads of an executor when it exits.
        self._thread = Thread(target=self._run, name="background", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.ident is None:
            return
        if isinstance(error, KeyboardInterrupt):
            self._context.http.stop()
            self._thread.join(_GRACE_SECONDS)
        else:
            self._thread.join()

    def start(self) -> None:
        """Start the work, unless it has been started."""
        if self._thread.ident is None:
            self._thread.start()

    def result(self) -> T:
        """Wait for the work, and return its result. Raises what the work raised."""
        self.start()
        return await_result(self._future)

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:
            self._future.set_exception(error)
