"""Work that is begun before its result is wanted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from incamera.waiting import await_result

if TYPE_CHECKING:
    from incamera.context import Context

# How long to wait, once interrupted, for the background to clean up after itself.
_GRACE_SECONDS = 5.0

T = TypeVar("T")


class Later(Generic[T]):
    """A piece of work that begins in the background as soon as somebody knows that it will be needed."""

    def __init__(self, context: Context, work: Callable[[], T]) -> None:
        self._context = context
        self._work = work
        self._future: Future[T] = Future()
        # Not an executor's: the interpreter would wait for it at its end, whatever it waits for itself.
        self._thread = Thread(target=self._run, name="later", daemon=True)

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
        if self._thread.ident is None:
            self._thread.start()

    def result(self) -> T:
        self.start()
        return await_result(self._future)

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:
            self._future.set_exception(error)
