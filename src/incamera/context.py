"""The context that every workflow gets: the store, HTTP, the Debian mirror, and the reporter that shows progress."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from incamera.store import Store, find_store_path

if TYPE_CHECKING:
    from incamera.debian.mirror import Mirror
    from incamera.errors import InCameraError
    from incamera.http import Http, Progress


class Step(Protocol):
    """One step of a command, while it runs.

    *seconds* is how long it took, once it has ended. *cached* says that there was nothing to do. A step that is
    *hidden* at its end is not reported.
    """

    name: str
    seconds: float
    cached: bool
    hidden: bool

    def note(self, text: str) -> None:
        """Show *text*, a few words about the result, beside the step's name."""

    def progress(self, total: int) -> AbstractContextManager[Progress]:
        """Show how much of *total* bytes is done while the block runs."""

    def phase(self, doing: str, done: str, total: int = 0) -> AbstractContextManager[Progress]:
        """Show that the step is *doing* something while the block runs: "sending", and how much of *total* bytes.

        *done* says that in the step's line, with its time if it took long: "sent".
        """


class Reporter(Protocol):
    """Shows the user what happens. The console is one; tests have their own."""

    def step(self, name: str) -> AbstractContextManager[Step]: ...
    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, error: InCameraError) -> None: ...
    def confirm(self, question: str) -> bool: ...

    def ask_secret(self, question: str) -> str | None:
        """Ask for a password, which is not shown. Returns None when nobody can be asked."""


@dataclass(slots=True)
class _SilentStep:
    """A step that is not shown."""

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
    """Shows nothing, for what the user did not ask for, and answers every question with no."""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        yield _SilentStep(name)

    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, error: InCameraError) -> None: ...

    def confirm(self, question: str) -> bool:
        return False

    def ask_secret(self, question: str) -> str | None:
        return None


class ForwardingReporter:
    """Passes everything on to *inner*."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner

    def step(self, name: str) -> AbstractContextManager[Step]:
        return self._inner.step(name)

    def info(self, text: str) -> None:
        self._inner.info(text)

    def warn(self, text: str) -> None:
        self._inner.warn(text)

    def error(self, error: InCameraError) -> None:
        self._inner.error(error)

    def confirm(self, question: str) -> bool:
        return self._inner.confirm(question)

    def ask_secret(self, question: str) -> str | None:
        return self._inner.ask_secret(question)


class BriefReporter(ForwardingReporter):
    """Passes everything on, but hides steps that had nothing to do."""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        with self._inner.step(name) as step:
            yield step
            step.hidden = step.cached


@dataclass(frozen=True)
class Context:
    """What a command works with. *environment* holds the environment variables."""

    store: Store
    reporter: Reporter
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _warned: set[str] = field(default_factory=set, init=False, compare=False, repr=False)

    @classmethod
    def open(cls, reporter: Reporter, environment: Mapping[str, str] | None = None) -> Context:
        """Return a context with the store that *environment* names. Raises StoreError when it cannot be used."""
        environment = os.environ if environment is None else environment
        return cls(Store(find_store_path(environment)), reporter, environment)

    def reporting_to(self, reporter: Reporter) -> Context:
        """Return the same context with another *reporter*. What `warn_once` has shown counts as shown there."""
        context = replace(self, reporter=reporter)
        context._warned.update(self._warned)
        return context

    def warn_once(self, text: str) -> None:
        """Show the warning *text*, unless it was shown before."""
        if text not in self._warned:
            self._warned.add(text)
            self.reporter.warn(text)

    @cached_property
    def http(self) -> Http:
        from incamera.http import Http  # lazy: an idle build fetches nothing

        return Http(self.environment)

    @cached_property
    def mirror(self) -> Mirror:
        from incamera.debian.mirror import find_mirror  # lazy: an idle build fetches nothing

        return find_mirror(self.environment)
