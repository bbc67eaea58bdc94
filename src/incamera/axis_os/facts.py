"""What a camera is, and what its AXIS OS does in its own way; data/generations.toml has the differences."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_HTTP = {"80": "Digest"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A camera: its AXIS OS *version* ("12.9.57"), *architecture*, and *serial* number, twelve hexadecimal digits.

    *has_http*: it serves without encryption, too, since it was upgraded from an AXIS OS that does.
    """

    version: str
    architecture: str
    serial: str
    has_http: bool = False

    @property
    def generation(self) -> str:
        """The first number of its AXIS OS: "12"."""
        return self.version.partition(".")[0]

    @property
    def host_name(self) -> str:
        return f"axis-{self.serial.lower()}"

    @property
    def realm(self) -> str:
        """What a login is for."""
        return f"AXIS_{self.serial}"

    @property
    def rules(self) -> Mapping[str, Any]:
        """Return what its AXIS OS does in its own way."""
        rules = load_generations()[self.generation]
        return rules | {"schemes": _HTTP | rules["schemes"]} if self.has_http else rules


@cache
def load_generations() -> Mapping[str, dict[str, Any]]:
    """Return the table of each AXIS OS, by its number: "12"."""
    found: Mapping[str, dict[str, Any]] = tomllib.loads(
        (Path(__file__).parent / "data" / "generations.toml").read_text("utf-8")
    )["generations"]
    return found
