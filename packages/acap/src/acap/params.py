"""The app's parameters: settings that its users change on the camera's page for the app, and that the camera keeps.

    interval = acap.parameters.integer("Interval")
    acap.parameters["Interval"] = 5

    @acap.parameters.on_change("Interval")
    def changed(value):
        ...

`acap.parameters` is a mapping of names to text. A project lists its parameters in
`[tool.incamera.package.parameters]`: the app has them under `incamera run`, too. `add` makes one that is not listed. On
a desk, ACAP_PARAMETERS names a file with lines such as Interval = "5". A program that runs is told of changes there, as
it is in a camera.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from . import handlers
from .app import app_name
from .errors import BadParameter, NoSuchParameter, ParameterExists, ParameterFailed, ParameterReadOnly
from .on_desk import desk_path

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Changes", "Parameters", "parameters"]

_Function = TypeVar("_Function", bound=Callable[..., object])
# AX_PARAMETER_PARAM_SET_ERROR
_SET_ERROR = 15
# By it, `incamera run` tells the parameters of the project: {NAME: [DEFAULT, TYPE]}.
_DECLARED = "ACAP_DECLARED_PARAMETERS"
_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0", "")


class Parameters(MutableMapping[str, str]):
    """What `acap.parameters` is: the app's parameters, by their names, as text.

    A value that is set may be text, a number or a bool, which becomes "yes" or "no". A name that begins with "root." is
    that of another parameter of the camera, such as "root.Properties.System.SerialNumber"; it can only be read.

    Raises NoSuchParameter, BadParameter, ParameterReadOnly, ParametersDown, ParameterFailed,
    LibraryMissing.
    """

    def __init__(self) -> None:
        # The camera's library is not thread safe, and knows one object in a process.
        self._lock = threading.RLock()
        self._has_declared = False
        self._batch: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        with self._lock:
            if self._batch is not None and name in self._batch:
                return self._batch[name]
            return str(self._camera().get(_name(name)))

    def __setitem__(self, name: str, value: str | float) -> None:
        text = value_text(name, value)
        with self._lock:
            if self._batch is None:
                self._put(name, text, sync=True)
                return
            self._camera().get(_name(name))  # one that is not there is refused at once
            self._batch[name] = text

    def _put(self, name: str, text: str, *, sync: bool) -> None:
        camera = self._camera()
        try:
            camera.put(_name(name), text.encode(), sync)
        except ParameterFailed as error:
            if error.code != _SET_ERROR:
                raise
            camera.get(_name(name))  # raises NoSuchParameter
            hint = "it belongs to the camera or to another app, or its type has the word readonly"
            raise ParameterReadOnly(str(error), hint=hint, code=error.code, domain=error.domain) from None

    def __delitem__(self, name: str) -> None:
        with self._lock:
            self._camera().remove(_name(name))

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            names = self._camera().names()
        prefix = f"root.{app_name()}.".lower()
        return iter([name[len(prefix) :] if name.lower().startswith(prefix) else name for name in names])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except NoSuchParameter:
            return False
        return True

    def __repr__(self) -> str:
        return f"<parameters of {app_name()}>"

    def integer(self, name: str) -> int:
        """Return the parameter as an int. Raises BadParameter when it is none."""
        text = self[name]
        try:
            return int(text)
        except ValueError:
            raise BadParameter(f'the parameter {name} is "{text}", and no integer') from None

    def number(self, name: str) -> float:
        """Return the parameter as a float. Raises BadParameter when it is none."""
        text = self[name]
        try:
            return float(text)
        except ValueError:
            raise BadParameter(f'the parameter {name} is "{text}", and no number') from None

    def boolean(self, name: str) -> bool:
        """Return the parameter as a bool: yes, true, on, 1, or no, false, off, 0. BadParameter for other text."""
        text = self[name].strip().lower()
        if text not in _YES + _NO:
            raise BadParameter(f'the parameter {name} is "{self[name]}", and neither yes nor no')
        return text in _YES

    def add(self, name: str, value: str | float = "", type: str = "string") -> str:
        """Add a parameter with its first *value*, if it is not there yet. Returns its value now.

        *type*: how the camera's page shows it, as "int:min=1;max=60", "bool:no,yes", "enum:low,high" or "password".
        """
        with self._lock:
            try:
                self._camera().add(_name(name), value_text(name, value).encode(), type.encode())
            except ParameterExists:
                return self[name]
        return value_text(name, value)

    def batch(self) -> Batch:
        """Return a `with` block: what is set in it is written at its end, at once. After an exception, nothing is."""
        return Batch(self)

    def on_change(self, name: str) -> Callable[[_Function], _Function]:
        """Call the decorated function with each new value: in the running event loop, or in `acap.wait` of this thread.

        In an event loop, it may be a coroutine function. The app's own changes count, too. The function may read and
        set parameters.
        """

        def decorate(function: _Function) -> _Function:
            handlers.add_handler(Changes(self, name), function)
            return function

        return decorate

    def remove_handler(self, function: Callable[..., object]) -> None:
        """No longer call *function*."""
        handlers.remove_handler(function)

    def changes(self, name: str, *, timeout: float | None = None) -> Changes:
        """Return the new values of a parameter from now on, for a `for` or an `async for` loop.

        *timeout*: seconds after which a loop ends when nothing changes, None for never.
        """
        return Changes(self, name, timeout=timeout)

    def _camera(self) -> Any:
        if replaced is not None:
            return replaced
        if (path := desk_path("ACAP_PARAMETERS")) is not None:
            from .desk.parameters import desk_parameters

            return desk_parameters(path)
        from . import _parameters

        _parameters.open_library(app_name().encode())
        if not self._has_declared:
            self._add_declared(_parameters)
            self._has_declared = True
        return _parameters

    def _add_declared(self, camera: Any) -> None:
        """Add what the project declares and the camera lacks. An installed package needs none of this."""
        text = os.environ.get(_DECLARED)
        if not text:
            return
        import json

        declared = json.loads(text)
        prefix = f"root.{app_name()}.".lower()
        known = {name.lower().removeprefix(prefix) for name in camera.names()}
        for name, (value, type) in declared.items():
            if name.lower() not in known:
                with contextlib.suppress(ParameterExists):
                    camera.add(_name(name), value.encode(), type.encode())

    def _begin_batch(self) -> None:
        self._lock.acquire()
        if self._batch is not None:
            self._lock.release()
            raise ParameterFailed("a batch of parameters cannot be in another one")
        self._batch = {}

    def _end_batch(self, *, write: bool) -> None:
        try:
            values, self._batch = self._batch or {}, None
            left = len(values)
            for name, text in values.items() if write else ():
                left -= 1
                self._put(name, text, sync=left == 0)
        finally:
            self._lock.release()


class Batch:
    """What `Parameters.batch` returns."""

    def __init__(self, owner: Parameters) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        self._owner._begin_batch()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._owner._end_batch(write=kind is None)


class Changes:
    """New values of one parameter, in a `for` or an `async for` loop. It is made by `Parameters.changes`."""

    def __init__(self, owner: Parameters, name: str, *, timeout: float | None = None) -> None:
        self.name = name
        self.timeout = timeout
        self._owner = owner
        self._values: deque[str] = deque()
        with owner._lock:
            self._watch = owner._camera().Watch(_name(name))

    def fileno(self) -> int:
        """The file descriptor that is readable when the parameter has changed."""
        return int(self._watch.fd)

    def take(self) -> list[str]:
        """Return the new values that have come, without waiting."""
        self._fill()
        values = list(self._values)
        self._values.clear()
        return values

    def _fill(self) -> None:
        self._values.extend(value for _, value in self._watch.take())

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._fill()
        while not self._values:
            if self.fileno() < 0 or not handlers.readable(self.fileno(), self.timeout):
                raise StopIteration
            self._fill()
        return self._values.popleft()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        self._fill()
        while not self._values:
            if self.fileno() < 0 or not await handlers.readable_async(self, self.timeout):
                raise StopAsyncIteration
            self._fill()
        return self._values.popleft()

    def close(self) -> None:
        """No longer wait for changes."""
        with self._owner._lock:
            self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _name(name: str) -> bytes:
    if not name or any(letter in '="\n\r\0 ' for letter in name):
        raise BadParameter(f"{name!r} is no name of a parameter")
    return name.encode()


def value_text(name: str, value: str | float) -> str:
    """Return *value* as the text of a parameter. Raises BadParameter."""
    text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    if "\0" in text:
        raise BadParameter(f"the parameter {name} cannot have a zero byte")
    return text


parameters = Parameters()
replaced: Any = None
"""What stands in for the camera in a test."""
