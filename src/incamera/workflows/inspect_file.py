"""inspect: find out what is in anybody's package, and what each AXIS OS would say about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.abi.audit import audit
from incamera.abi.policy import load_policy
from incamera.abi.subject import guess_architecture, open_subject
from incamera.archives import BadArchive, open_regular
from incamera.eap.demands import load_generations
from incamera.eap.description import describe
from incamera.eap.parts import part_of
from incamera.eap.reading import read_whole
from incamera.eap.signed import NotSigned, check_signed
from incamera.eap.start import BUNDLE
from incamera.errors import UsageError
from incamera.targets.architecture import Architecture
from incamera.units import format_count
from incamera.workflows.package_check import Check

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.eap.description import Description
    from incamera.eap.reading import Inside, Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a package: its number of files, and their bytes installed and, about, in the file."""

    name: str
    files: int
    installed: int
    packed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What is known of a package. *checks* are empty for a file that is no package at all."""

    path: Path
    reading: Reading
    description: Description
    parts: tuple[Part, ...]
    checks: tuple[Check, ...]

    @property
    def is_ours(self) -> bool:
        """Whether `incamera package` has made it."""
        return _is_ours(self.reading.members)


def inspect_package(context: Context, path: Path) -> Inspection:
    """Return what is known of the package at *path*. Raises UsageError for what is no file or cannot be read."""
    with context.reporter.step("inspect") as step:
        try:
            with open_regular(path) as stream:
                reading = read_whole(stream)
        except BadArchive as error:
            raise UsageError(f"cannot inspect {path}: {error}") from error
        except OSError as error:
            hint = "correct the path" if isinstance(error, FileNotFoundError) else "make it readable"
            raise UsageError(f"cannot inspect {path}: {error.strerror}", hint=hint) from error
        description = describe(reading)
        checks = _check(path, reading, description) if reading.members else []
        members = reading.members
        step.note(format_count(sum(not _is_folder(member) for member in members), "file"))
    parts = _parts(members, is_ours=_is_ours(members))
    return Inspection(path=path, reading=reading, description=description, parts=tuple(parts), checks=tuple(checks))


def compare_signed(signed: Path, built: Path) -> str:
    """Return why *signed* is not the package *built* with a signature behind it; "" when it is. Raises UsageError."""
    try:
        check_signed(signed, built)
    except NotSigned as error:
        return str(error)
    except BadArchive as error:
        raise UsageError(f"cannot inspect {built}: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot read {built}: {error.strerror}", hint="name the file that was built") from error
    return ""


def _check(path: Path, reading: Reading, description: Description) -> list[Check]:
    """Return a check for each AXIS OS, with the rules of `incamera package --for` and of the audit."""
    checks = []
    with open_subject(path) as subject:
        named = description.setup("architecture")
        architecture = Architecture(named) if named in set(Architecture) else guess_architecture(subject)
        for generation in load_generations():
            report = audit(subject, load_policy(f"axis-os-{generation}-{architecture}"))[0]
            demands = description.demands(generation, is_signed=reading.signature is not None)
            checks.append(Check(generation, tuple(demands), report))
    return checks


def _is_folder(member: Inside) -> bool:
    return member.kind.name == "folder"


def _is_ours(members: Iterable[Inside]) -> bool:
    return any(member.path == f"{BUNDLE}/etc/launcher" for member in members)


def _parts(members: Iterable[Inside], *, is_ours: bool) -> list[Part]:
    """Return the parts of a package, the largest first."""
    sizes: dict[str, list[tuple[int, int, int]]] = {}
    for member in members:
        part = part_of(member.path, is_ours=is_ours)
        sizes.setdefault(part, []).append((int(not _is_folder(member)), member.size, member.packed))
    parts = []
    for name, found in sizes.items():
        files, installed, packed = (sum(column) for column in zip(*found, strict=True))
        parts.append(Part(name=name, files=files, installed=installed, packed=packed))
    return sorted(parts, key=lambda part: -part.installed)
