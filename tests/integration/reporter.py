"""A reporter that prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.context import Step
    from incamera.http import Progress


@dataclass
class QuietStep:
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


@dataclass
class QuietReporter:
    """Collects messages and steps instead of printing them, and answers every question with no."""

    messages: list[str] = field(default_factory=list)
    steps: list[QuietStep] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step = QuietStep(name)
        self.steps.append(step)
        yield step

    def info(self, text: str) -> None:
        self.messages.append(text)

    def warn(self, text: str) -> None:
        self.messages.append(text)

    def error(self, error: Exception) -> None:
        self.messages.append(str(error))

    def confirm(self, question: str) -> bool:
        self.messages.append(question)
        return False

    def ask_secret(self, question: str) -> str | None:
        return None
