"""Checks that all binaries in a wheel that was built are for the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from incamera.archives import BadArchive, open_zip
from incamera.elf import ELF_MAGIC, parse_identity
from incamera.errors import BuildError
from incamera.toolchain.sysconfig import extension_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.target import Target

# Those of an ELF file that say for which machine it is.
_HEADER_BYTES = 64


def check_wheel(wheel: Path, target: Target) -> None:
    """Raise BuildError, with the file's name, when *wheel* or a binary in it is not for *target*."""
    _check_name(wheel, target)
    try:
        with open_zip(wheel) as archive:
            for info in archive.infos:
                beginning = archive.beginning(info, _HEADER_BYTES)
                if beginning[:4] == ELF_MAGIC:
                    _check_binary(f"{wheel.name}: {info.filename}", beginning, target)
    except BadArchive as error:
        raise BuildError(f"the build back end wrote {wheel.name}, which is not a wheel: {error}") from error


def _check_name(wheel: Path, target: Target) -> None:
    try:
        tags = parse_wheel_filename(wheel.name)[3]
    except InvalidWheelFilename as error:
        raise BuildError(f'the build back end wrote "{wheel.name}", which is not a valid name for a wheel') from error
    machine = target.architecture.facts.wheel
    for tag in tags:
        if tag.platform != "any" and not (
            tag.platform.startswith(("linux_", "manylinux")) and tag.platform.endswith(f"_{machine}")
        ):
            raise BuildError(
                f"{wheel.name} is for {tag.platform}, not for linux_{machine}",
                hint="if the project sets the platform tag itself (--plat-name), remove that setting",
            )


def _check_binary(name: str, data: bytes, target: Target) -> None:
    wanted = target.architecture.facts
    try:
        machine, bits = parse_identity(data)
    except ValueError as error:
        raise BuildError(f"{name} is a damaged ELF file: {error}") from error
    if machine != wanted.elf_machine or bits != wanted.bits:
        raise BuildError(
            f"{name} is for {machine.removeprefix('EM_')} ({bits} bits), not for {target.architecture}",
            hint="remove files built for this computer from the project, and let its build use the compiler in CC",
        )
    if ".cpython-" in name.rpartition("/")[2] and not name.endswith(extension_suffix(target)):
        raise BuildError(
            f"{name} can't be imported by Python {target.python} on {target.architecture}: "
            f"its name must end with {extension_suffix(target)}",
            hint="let the project's build use the EXT_SUFFIX of sysconfig",
        )
