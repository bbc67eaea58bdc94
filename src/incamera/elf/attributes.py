"""The build attributes of an ARM file: the processor, floating point and calling convention it was compiled for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# Tag numbers, as the "Addenda to, and Errata in, the ABI for the Arm Architecture" gives them.
_CPU_ARCH, _FP_ARCH, _SIMD_ARCH, _VFP_ARGS, _DIVISION = 6, 10, 12, 28, 44
_STRING_TAGS = (4, 5, 65, 67)
_COMPATIBILITY = 32
_WHOLE_FILE = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmAttributes:
    """Attribute values as the ARM ABI numbers them; 0 where the file does not give one."""

    cpu_arch: int = 0
    fp_arch: int = 0
    simd_arch: int = 0
    vfp_args: int = 0
    division: int = 0


def parse_arm_attributes(data: bytes, order: str = "<") -> ArmAttributes:
    """Return the attributes in *data*, the content of a section `.ARM.attributes`.

    *order* is the file's byte order as `struct` writes it ("<" or ">"). Raises LookupError or ValueError for a damaged
    section.
    """
    if data[:1] != b"A":
        raise ValueError("not a valid ELF file: the format of its attributes is unknown")
    byte_order: Literal["little", "big"] = "little" if order == "<" else "big"
    found: dict[int, int] = {}
    offset = 1
    while offset + 4 <= len(data):
        size = int.from_bytes(data[offset : offset + 4], byte_order)
        vendor_end = data.index(b"\0", offset + 4)
        if size < 5:
            raise ValueError("not a valid ELF file: its attributes have no end")
        if data[offset + 4 : vendor_end] == b"aeabi":
            found |= _parse_vendor(data[vendor_end + 1 : offset + size], byte_order)
        offset += size
    return ArmAttributes(
        cpu_arch=found.get(_CPU_ARCH, 0),
        fp_arch=found.get(_FP_ARCH, 0),
        simd_arch=found.get(_SIMD_ARCH, 0),
        vfp_args=found.get(_VFP_ARGS, 0),
        division=found.get(_DIVISION, 0),
    )


def _parse_vendor(data: bytes, byte_order: Literal["little", "big"]) -> dict[int, int]:
    found: dict[int, int] = {}
    offset = 0
    while offset + 5 <= len(data):
        size = int.from_bytes(data[offset + 1 : offset + 5], byte_order)
        if size < 5:
            raise ValueError("not a valid ELF file: its attributes have no end")
        if data[offset] == _WHOLE_FILE:
            found |= dict(_parse_tags(data[offset + 5 : offset + size]))
        offset += size
    return found


def _parse_tags(data: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(data):
        tag, offset = _parse_uleb128(data, offset)
        value = 0
        if tag not in _STRING_TAGS and (tag <= _COMPATIBILITY or tag % 2 == 0):
            value, offset = _parse_uleb128(data, offset)
        if tag in _STRING_TAGS or tag == _COMPATIBILITY or (tag > _COMPATIBILITY and tag % 2):
            offset = data.index(b"\0", offset) + 1
        yield tag, value


def _parse_uleb128(data: bytes, offset: int) -> tuple[int, int]:
    """Return the ULEB128 number at *offset*, and the offset of the byte after it."""
    value = shift = 0
    while True:
        byte = data[offset]
        value |= (byte & 0x7F) << shift
        shift += 7
        offset += 1
        if byte < 0x80:
            return value, offset
