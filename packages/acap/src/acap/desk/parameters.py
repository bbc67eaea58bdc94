"""Parameters on a desk: lines `Interval = "5"` in a file. The program is told of what is changed in it."""

from __future__ import annotations

import json
import re
import threading
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from ..app import app_name
from ..errors import NoSuchParameter, ParameterExists, ParameterFailed
from .mailbox import Mailbox

_SECONDS = 0.1  # how often a file is looked at
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = "# The app's parameters on this computer. When you save a change, the app that runs is told.\n"


class Store:
    """What `acap._parameters` is for a camera, in memory."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = dict(values)
        self._pending: dict[str, str] = {}
        self._lock = threading.RLock()
        self.watches: list[Watch] = []

    def load(self) -> dict[str, str]:
        return self._values

    def save(self, values: dict[str, str]) -> None:
        self._values = values

    def names(self) -> list[str]:
        return [name for name in self.load() if not name.startswith("root.")]

    def get(self, name: bytes) -> str:
        return self._need(name, "read", self._pending | self.load())

    def _need(self, name: bytes, doing: str, values: dict[str, str]) -> str:
        key = own_name(name)
        if key not in values:
            raise NoSuchParameter(f"cannot {doing} the parameter {key}: there is no such parameter", domain="desk")
        return values[key]

    def put(self, name: bytes, value: bytes, sync: bool) -> None:
        with self._lock:
            values = dict(self.load())
            self._need(name, "set", values)
            self._pending[own_name(name)] = value.decode()
            if sync:
                values.update({key: text for key, text in self._pending.items() if key in values})
                self._pending.clear()
                self.save(values)
        self.tell()

    def add(self, name: bytes, value: bytes, type: bytes) -> None:
        with self._lock:
            values, key = dict(self.load()), own_name(name)
            if key in values:
                raise ParameterExists(f"cannot add the parameter {key}: it is there already", domain="desk")
            self.save(values | {key: value.decode()})

    def remove(self, name: bytes) -> None:
        with self._lock:
            values = dict(self.load())
            self._need(name, "remove", values)
            del values[own_name(name)]
            self.save(values)

    def Watch(self, name: bytes) -> Watch:
        return Watch(self, own_name(name))

    def tell(self) -> None:
        """Tell those who wait of changes."""
        with self._lock:
            values = self.load()
            for watch in self.watches:
                watch.look(values)


class Watch:
    """Changes of one parameter."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._mailbox = Mailbox()
        self._last = store.load().get(name)
        store.watches.append(self)

    @property
    def fd(self) -> int:
        return self._mailbox.fd

    def look(self, values: dict[str, str]) -> None:
        now, before = values.get(self._name), self._last
        self._last = now
        if now is not None and before is not None and now != before:
            self._mailbox.put((f"root.{app_name()}.{self._name}", now))

    def take(self) -> list[tuple[str, str]]:
        return self._mailbox.take()

    def close(self) -> None:
        if self in self._store.watches:
            self._store.watches.remove(self)
        self._mailbox.close()


class FileStore(Store):
    """Parameters in a file, which others may change."""

    def __init__(self, path: Path) -> None:
        super().__init__({})
        self._path = path
        self._thread: threading.Thread | None = None
        self._seen: tuple[int, int] | None = None

    def load(self) -> dict[str, str]:
        try:
            document = tomllib.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ParameterFailed(f"cannot read {self._path}: {error.strerror}", domain="desk") from error
        except ValueError as error:
            raise ParameterFailed(f"{self._path}: {error}", domain="desk") from error
        return {name: _value_text(value) for name, value in document.items() if not isinstance(value, (dict, list))}

    def save(self, values: dict[str, str]) -> None:
        try:
            lines = self._path.read_text("utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            lines = [_HEADER]
        before = self.load()
        for name in [*before, *(name for name in values if name not in before)]:
            if before.get(name) != values.get(name):
                _replace_line(lines, name, values.get(name))
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text("".join(lines), "utf-8")
            new.replace(self._path)
        except OSError as error:
            raise ParameterFailed(f"cannot write {self._path}: {error.strerror}", domain="desk") from error

    def Watch(self, name: bytes) -> Watch:
        with self._lock:
            watch = super().Watch(name)
            if self._thread is None:
                self._seen = self._state()
                self._thread = threading.Thread(target=self._look, name="acap desk parameters", daemon=True)
                self._thread.start()
        return watch

    def _state(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _look(self) -> None:
        stop = threading.Event()
        while not stop.wait(_SECONDS):
            state = self._state()
            if state == self._seen:
                continue
            try:
                self.tell()
            except ParameterFailed:
                continue  # it is being edited
            self._seen = state


def _value_text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _replace_line(lines: list[str], name: str, value: str | None) -> None:
    """Write the value of *name* into its line, or into a new one; without a value, remove the line."""
    key = name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    new = [] if value is None else [f"{key} = {json.dumps(value, ensure_ascii=False)}\n"]
    start = re.compile(rf"\s*(?:{re.escape(key)}|{re.escape(json.dumps(name))})\s*=")
    for number, line in enumerate(lines):
        if start.match(line):
            lines[number : number + 1] = new
            return
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    lines += new


def own_name(name: bytes) -> str:
    """Return the name of one of the app's parameters without `root.APP.`."""
    text = name.decode()
    prefix = f"root.{app_name()}."
    return text[len(prefix) :] if text.lower().startswith(prefix.lower()) else text


@cache
def desk_parameters(path: Path) -> FileStore:
    """Return the parameters in the file *path*."""
    return FileStore(path.absolute())
