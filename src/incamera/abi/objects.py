"""The ELF files that a loader may map into a process: those of the subject, of the bare runtime, of the camera."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from incamera.elf import ElfFacts, Reference, Symbols


def _any(reference: Reference) -> bool:
    return True


_NO_SYMBOLS = Symbols((), frozenset(), frozenset())


class Object:
    """One ELF file.

    `path`: relative to the subject's folder; absolute for a file of the camera.
    `damage`: why it cannot be read; "" for a file that can be.
    `camera`, `base`: it belongs to the camera, to the bare runtime.
    `symbols`: None where they are not known. *read* loads them when they are first used, `read_lazy` loads
    `lazy_functions`.
    `may_export`: whether it may export a symbol that is not in `symbols`; None where `symbols` has all of them.
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
        self.read_lazy: Callable[[], frozenset[str]] = frozenset

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
        """Whether it belongs to the subject of the audit."""
        return not self.camera and not self.base

    @cached_property
    def symbols(self) -> Symbols | None:
        """The file's symbols. A damaged symbol table sets `damage` and gives no symbols."""
        try:
            return self._read()
        except ValueError as error:
            self.damage = str(error)
            return _NO_SYMBOLS

    @cached_property
    def lazy_functions(self) -> frozenset[str]:
        """The functions that it imports, and that the loader looks up only when they are called."""
        try:
            return self.read_lazy()
        except (OSError, ValueError):
            return frozenset()

    @property
    def may_export(self) -> Callable[[Reference], bool] | None:
        return _any if self.symbols is None else None

    @cached_property
    def time_bits(self) -> int | None:
        """The width in bits of the time_t that it uses; None where that is unknown, or it uses none."""
        if self._time_bits is not None or self.facts.bits != 32 or self.symbols is None:
            return self._time_bits
        return self.symbols.time_bits


class PartlyKnown(Object):
    """A library of the camera of which it is only known what else it *may_export*, besides its symbols."""

    def __init__(
        self,
        path: str,
        facts: ElfFacts,
        *,
        may_export: Callable[[Reference], bool],
        read: Callable[[], Symbols | None] = lambda: None,
        time_bits: int | None = None,
    ) -> None:
        super().__init__(path, facts, read=read, camera=True, time_bits=time_bits)
        self._may_export = may_export

    @property
    def may_export(self) -> Callable[[Reference], bool]:
        return self._may_export
