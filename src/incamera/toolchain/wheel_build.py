"""What building a wheel needs, whether it is cross-built or built under emulation."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from incamera.archives import BadArchive, open_inside
from incamera.disk import remove_tree
from incamera.errors import BuildError
from incamera.toolchain.isolation import find_isolation_fault
from incamera.toolchain.limits import Limits, default_limits
from incamera.toolchain.options import BuildOptions

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.toolchain.emulated_root import EmulatedRoot
    from incamera.toolchain.interpreter import BuildInterpreter


class Requirements(Protocol):
    """What a build requires, from the lockfile or resolved just now."""

    @property
    def ask_back_end(self) -> bool:
        """Whether the back end must be asked what it requires itself: it is not known yet, or may have changed."""

    def install(self, requirements: Sequence[str], place: BuildInterpreter | EmulatedRoot) -> Path:
        """Return a tree with *requirements* for the Python of *place*. Raises ConfigError, ResolveError, ToolFailed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelBuild:
    """A project of which a wheel is built, and the settings of that build.

    `project`: the project's folder, which the build does not change.
    `requirements`: install what the build requires.
    `environment`: those of the user's variables that the build gets.
    `options`: what a recipe changes about the build.
    `log`: a file that gets everything the build prints.
    `hint`: what a user can do instead when the build fails.
    `isolated`: whether the build runs in a private root folder; by default where this computer allows it.
    `limits`: what each call of its back end may use.
    `leaves_out`: whether the build does not get a path of the project; that of a folder ends with `/`.
    `warn`: called with a text for each option that is left out, and each download that is refused.
    """

    project: Path
    store: Store
    requirements: Requirements
    environment: Mapping[str, str] = field(default_factory=dict)
    options: BuildOptions = field(default_factory=BuildOptions)
    log: Path | None = None
    hint: str | None = None
    isolated: bool = field(default_factory=lambda: find_isolation_fault() is None)
    limits: Limits = field(default_factory=default_limits)
    leaves_out: Callable[[str], bool] = lambda _: False
    warn: Callable[[str], None] = lambda _: None


def require_wheel(wheels: Path, name: object, backend: str, destination: Path) -> Path:
    """Return a copy, in the new folder *destination*, of the wheel in *wheels* whose *name* the *backend* returned.

    Raises BuildError when there is none. The build could write to *wheels*, so a link in there is not followed.
    """
    filename = Path(str(name)).name
    remove_tree(destination)
    destination.mkdir()
    try:
        with open_inside(wheels, filename) as source, (destination / filename).open("xb") as copy:
            shutil.copyfileobj(source, copy)
    except (OSError, BadArchive) as error:
        raise BuildError(
            f"the build back end {backend} returned the wheel {name}, but did not write that file"
        ) from error
    return destination / filename


def deliver_wheel(wheel: Path, destination: Path) -> Path:
    """Copy *wheel* into the folder *destination*, completely or not at all, and return the copy."""
    destination.mkdir(parents=True, exist_ok=True)
    partial = destination / f".{wheel.name}.partial"
    shutil.copyfile(wheel, partial)
    return partial.replace(destination / wheel.name)
