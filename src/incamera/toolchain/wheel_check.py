"""Whether a wheel that was cross-built is for the target: nothing else proves that no part of it is the host's."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from incamera.elf import ELF_MAGIC, parse_identity
from incamera.errors import BuildError
from incamera.toolchain.sysconfig import extension_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.target import Target


def check_wheel(wheel: Path, target: Target) -> None:
    """Raises BuildError, naming the file, when *wheel* or a binary in it isn't for *target*."""
    _check_name(wheel, target)
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                with archive.open(info) as stream:
                    if stream.read(4) != ELF_MAGIC:
                        continue
                _check_binary(f"{wheel.name}: {info.filename}", archive.read(info), target)
    except zipfile.BadZipFile as error:
        raise BuildError(f"{wheel.name}, which the back end made, is not a wheel: {error}") from error


def _check_name(wheel: Path, target: Target) -> None:
    try:
        tags = parse_wheel_filename(wheel.name)[3]
    except InvalidWheelFilename as error:
        raise BuildError(f'the back end made "{wheel.name}", which is no name for a wheel') from error
    machine = target.architecture.facts.wheel
    for tag in tags:
        if tag.platform != "any" and not (
            tag.platform.startswith(("linux_", "manylinux")) and tag.platform.endswith(f"_{machine}")
        ):
            raise BuildError(
                f"{wheel.name} is for {tag.platform}, not for linux_{machine}",
                hint="does the project set its platform tag itself (--plat-name)?",
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
            hint="a file built for this computer lies in the project, or its build doesn't use the given compiler",
        )
    if ".cpython-" in name.rpartition("/")[2] and not name.endswith(extension_suffix(target)):
        raise BuildError(
            f"{name} can't be imported by Python {target.python} on {target.architecture}: "
            f"its name must end with {extension_suffix(target)}"
        )
