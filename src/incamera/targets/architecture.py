"""The processor architectures of cameras, and what other projects call them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from incamera.errors import ConfigError
from incamera.names import did_you_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchitectureFacts:
    """One entry of `data/architectures.toml`.

    *debian*, *wheel*, *gnu* and *zig* are its names in Debian, wheel tags, GNU triplets and zig. *machines* are what
    `uname -m` prints. *loader* is the file name of the dynamic loader. Code compiled with *cflags*, or for *zig_cpu*,
    runs on every camera of this architecture.
    """

    debian: str
    wheel: str
    gnu: str
    zig: str
    machines: tuple[str, ...]
    bits: int
    elf_machine: str
    loader: str
    cflags: tuple[str, ...]
    zig_cpu: str


class Architecture(StrEnum):
    """An architecture by ACAP's name: `armv7hf` (32-bit, hard float) or `aarch64` (64-bit)."""

    armv7hf = "armv7hf"
    aarch64 = "aarch64"

    @property
    def facts(self) -> ArchitectureFacts:
        return _load_facts()[self.value]

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Return the architecture whose ACAP name is *text*. Raises ConfigError for any other text."""
        try:
            return cls(text)
        except ValueError:
            other_names = {alias: arch for arch in cls for alias in (arch.facts.debian, *arch.facts.machines)}
            hint = f'did you mean "{other_names[text]}"?' if text in other_names else did_you_mean(text, cls)
            raise ConfigError(
                f'unknown architecture "{text}"', hint=hint or "choose one of: " + ", ".join(cls)
            ) from None

    @classmethod
    def from_machine(cls, machine: str) -> Architecture | None:
        """Return the architecture of a device whose `uname -m` prints *machine*; None when no camera has it."""
        return next((arch for arch in cls if machine in arch.facts.machines), None)


@cache
def _load_facts() -> dict[str, ArchitectureFacts]:
    text = (Path(__file__).parent / "data" / "architectures.toml").read_text("utf-8")
    tables: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {name: ArchitectureFacts(**_frozen(table)) for name, table in tables.items()}


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
