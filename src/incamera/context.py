"""What every workflow is handed: where things are kept, the way to the web, and whom to tell how far we are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from incamera.store import Store, find_store_path

if TYPE_CHECKING:
    from incamera.debian.mirror import Mirror
    from incamera.errors import InCameraError
    from incamera.http import Http, Progress


class Step(Protocol):
    """One step under way: what is known of it may be added while it runs."""

    name: str
    seconds: float
    cached: bool

    def note(self, text: str) -> None:
        """Say, in a few words, what came of it."""

    def progress(self, total: int) -> AbstractContextManager[Progress]:
        """Show a bar of *total* bytes while the block runs."""


class Reporter(Protocol):
    """Shows the user what happens. The console is one; tests bring their own."""

    def step(self, name: str) -> AbstractContextManager[Step]: ...
    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, error: InCameraError) -> None: ...
    def confirm(self, question: str) -> bool: ...


@dataclass(frozen=True)
class Context:
    store: Store
    reporter: Reporter
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def open(cls, reporter: Reporter, environment: Mapping[str, str] | None = None) -> Context:
        environment = os.environ if environment is None else environment
        return cls(Store(find_store_path(environment)), reporter, environment)

    @cached_property
    def http(self) -> Http:
        from incamera.http import Http

        return Http(self.environment)

    @cached_property
    def mirror(self) -> Mirror:
        from incamera.debian.mirror import find_mirror

        return find_mirror(self.environment)
