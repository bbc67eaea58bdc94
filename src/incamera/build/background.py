"""Work that starts in a background thread, before its result is needed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

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
        self._started: tuple[Thread, Future[T]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started is None:
            return
        thread, _ = self._started
        if isinstance(error, KeyboardInterrupt):
            self._context.http.stop()
            thread.join(_GRACE_SECONDS)
        else:
            thread.join()

    def start(self) -> None:
        """Start the work, unless it has been started."""
        self._ensure_started()

    def result(self) -> T:
        """Wait for the work, and return its result. Raises what the work raised."""
        from incamera.waiting import await_result  # lazy: an idle build starts nothing in the background

        return await_result(self._ensure_started())

    def _ensure_started(self) -> Future[T]:
        if self._started is None:
            from concurrent.futures import Future  # lazy: an idle build starts nothing in the background

            future: Future[T] = Future()
            # A daemon thread: the interpreter would wait for the threads of an executor when it exits.
            thread = Thread(target=self._run, args=(future,), name="background", daemon=True)
            thread.start()
            self._started = thread, future
        return self._started[1]

    def _run(self, future: Future[T]) -> None:
        try:
            future.set_result(self._work())
        except BaseException as error:
            future.set_exception(error)
