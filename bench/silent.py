"""A reporter for benches that call workflows themselves: tells nothing, and asks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from measure import CannotMeasure

if TYPE_CHECKING:
    from incamera.http import Progress


@dataclass
class _Step:
    name: str
    seconds: float = 0.0
    cached: bool = False
    hidden: bool = False

    def note(self, text: str) -> None: ...

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        yield lambda _: None

    @contextmanager
    def phase(self, doing: str, done: str, total: int = 0) -> Iterator[Progress]:
        yield lambda _: None


class SilentReporter:
    @contextmanager
    def step(self, name: str) -> Iterator[_Step]:
        yield _Step(name)

    def info(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def error(self, error: Exception) -> None: ...

    def confirm(self, question: str) -> bool:
        raise CannotMeasure(question)

    def ask_secret(self, question: str) -> str | None:
        raise CannotMeasure(question)
