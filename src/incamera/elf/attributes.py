"""The build attributes of an ARM file: which processor, floating point and calling convention it was made for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_CPU_ARCH, _FP_ARCH, _SIMD_ARCH, _VFP_ARGS, _DIVISION = 6, 10, 12, 28, 44
_TEXTS = (4, 5, 65, 67)
_COMPATIBILITY = 32
_WHOLE_FILE = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmAttributes:
    """The numbers of the "Addenda to, and Errata in, the ABI for the Arm Architecture"; 0 where the file is silent."""

    cpu_arch: int = 0
    fp_arch: int = 0
    simd_arch: int = 0
    vfp_args: int = 0
    division: int = 0


def parse_arm_attributes(data: bytes, order: str = "<") -> ArmAttributes:
    """Parse a section `.ARM.attributes`. Raises LookupError or ValueError for one that is damaged."""
    if data[:1] != b"A":
        raise ValueError("not a sound ELF file: attributes of no known form")
    byte_order: Literal["little", "big"] = "little" if order == "<" else "big"
    found: dict[int, int] = {}
    place = 1
    while place + 4 <= len(data):
        size = int.from_bytes(data[place : place + 4], byte_order)
        vendor_end = data.index(b"\0", place + 4)
        if size < 5:
            raise ValueError("not a sound ELF file: attributes without an end")
        if data[place + 4 : vendor_end] == b"aeabi":
            found |= _parse_vendor(data[vendor_end + 1 : place + size], byte_order)
        place += size
    return ArmAttributes(
        cpu_arch=found.get(_CPU_ARCH, 0),
        fp_arch=found.get(_FP_ARCH, 0),
        simd_arch=found.get(_SIMD_ARCH, 0),
        vfp_args=found.get(_VFP_ARGS, 0),
        division=found.get(_DIVISION, 0),
    )


def _parse_vendor(data: bytes, byte_order: Literal["little", "big"]) -> dict[int, int]:
    found: dict[int, int] = {}
    place = 0
    while place + 5 <= len(data):
        size = int.from_bytes(data[place + 1 : place + 5], byte_order)
        if size < 5:
            raise ValueError("not a sound ELF file: attributes without an end")
        if data[place] == _WHOLE_FILE:
            found |= dict(_parse_tags(data[place + 5 : place + size]))
        place += size
    return found


def _parse_tags(data: bytes) -> Iterator[tuple[int, int]]:
    place = 0
    while place < len(data):
        tag, place = _parse_number(data, place)
        value = 0
        if tag not in _TEXTS and (tag <= _COMPATIBILITY or tag % 2 == 0):
            value, place = _parse_number(data, place)
        if tag in _TEXTS or tag == _COMPATIBILITY or (tag > _COMPATIBILITY and tag % 2):
            place = data.index(b"\0", place) + 1
        yield tag, value


def _parse_number(data: bytes, place: int) -> tuple[int, int]:
    """Return the number in the form ULEB128 at *place*, and where it ends."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        if byte < 0x80:
            return value, place
