"""What a loader may map into a process: files of ours, and libraries of the camera."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from incamera.elf import ElfFacts, Symbols

_NOTHING = Symbols((), frozenset(), frozenset())


class Object:
    """One file. `path` is relative to the tree that is judged, absolute where the camera has it.

    `damage` says why it cannot be read. `symbols` is None where nobody knows them; `base`: of the bare runtime.
    """

    def __init__(
        self,
        path: str,
        facts: ElfFacts,
        *,
        read: Callable[[], Symbols | None] = lambda: None,
        damage: str = "",
        camera: bool = False,
        base: bool = False,
        time_bits: int | None = None,
    ) -> None:
        self.path = path
        self.facts = facts
        self.damage = damage
        self.camera = camera
        self.base = base
        self._time_bits = time_bits
        self._read = read

    def __repr__(self) -> str:
        return f"<{'camera' if self.camera else 'ours'}: {self.path}>"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def ours(self) -> bool:
        """Does it lie in the tree that is judged?"""
        return not self.camera and not self.base

    @cached_property
    def symbols(self) -> Symbols | None:
        """Damage that shows only here is one more reason not to trust the file."""
        try:
            return self._read()
        except ValueError as error:
            self.damage = str(error)
            return _NOTHING

    @cached_property
    def time_bits(self) -> int | None:
        """How wide it takes a time to be; None where that is unknown, or it uses none."""
        if self._time_bits is not None or self.facts.bits != 32 or self.symbols is None:
            return self._time_bits
        return self.symbols.time_bits
