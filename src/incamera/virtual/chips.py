"""Chips of cameras, and the devices of larod that each has: `data/larod.toml` says where that is from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from incamera.errors import UsageError
from incamera.names import did_you_mean
from incamera.targets.architecture import Architecture

if TYPE_CHECKING:
    from incamera.targets.profile import Profile


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip, and its devices in the order in which larod lists them."""

    name: str
    architecture: Architecture
    devices: tuple[str, ...]


@cache
def load_chips() -> Mapping[str, Chip]:
    """Return the chips by name."""
    return {
        name: Chip(name, Architecture(facts["architecture"]), tuple(facts["devices"]))
        for name, facts in load_larod()["chips"].items()
    }


@cache
def load_larod() -> Mapping[str, Any]:
    """Return the content of the data file."""
    text = resources.files("incamera.virtual").joinpath("data/larod.toml").read_text("utf-8")
    return tomllib.loads(text)


def require_chip(name: str, profile: Profile) -> Chip:
    """Return the chip *name*. Raises UsageError when there is none, or when cameras of *profile* do not have it."""
    chips = load_chips()
    chip = chips.get(name)
    if chip is None:
        raise UsageError(
            f'there is no chip "{name}"', hint=did_you_mean(name, chips) or f"there are {', '.join(chips)}"
        )
    if chip.architecture is not profile.architecture:
        fitting = [other.name for other in chips.values() if other.architecture is profile.architecture]
        raise UsageError(
            f"a camera with {name} is {chip.architecture}, and {profile.name} is {profile.architecture}",
            hint=f"choose {', '.join(fitting)}, or another profile",
        )
    return chip
