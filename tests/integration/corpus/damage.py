"""What happens to files: each function takes a valid ELF file's bytes and returns them harmed in one way."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

_PT_LOAD, _PT_DYNAMIC, _PT_GNU_STACK = 1, 2, 0x6474E551
_EM_386, _EM_X86_64 = 3, 62
_FREEBSD = 9
_SOFT_FLOAT, _FLOAT_FLAGS = 0x200, 0x600  # EF_ARM_ABI_FLOAT_SOFT, and with _HARD


def damage(data: bytes, kind: str) -> bytes:
    return _KINDS[kind](bytearray(data))


def _wide(data: bytearray) -> bool:
    return data[4] == 2


def _put(data: bytearray, offset: int, form: str, value: int) -> None:
    struct.pack_into(f"<{form}", data, offset, value)


def _get(data: bytearray, offset: int, form: str) -> int:
    return int(struct.unpack_from(f"<{form}", data, offset)[0])


def _segments(data: bytearray) -> Iterator[tuple[int, int]]:
    """Yield each program header's type and place."""
    start = _get(data, 32, "Q") if _wide(data) else _get(data, 28, "I")
    size, count = struct.unpack_from("<HH", data, 54 if _wide(data) else 42)
    for number in range(count):
        place = start + number * size
        yield _get(data, place, "I"), place


def _field(data: bytearray, place: int, name: str) -> int:
    wide = {"offset": (8, "Q"), "filesz": (32, "Q"), "vaddr": (16, "Q")}
    narrow = {"offset": (4, "I"), "filesz": (16, "I"), "vaddr": (8, "I")}
    offset, form = (wide if _wide(data) else narrow)[name]
    return _get(data, place + offset, form)


def _end_of_segments(data: bytearray) -> int:
    return max(_field(data, p, "offset") + _field(data, p, "filesz") for kind, p in _segments(data) if kind == _PT_LOAD)


def _machine(data: bytearray) -> bytes:
    _put(data, 18, "H", _EM_X86_64 if _wide(data) else _EM_386)
    return bytes(data)


def _header_only(data: bytearray) -> bytes:
    return bytes(data[: 64 if _wide(data) else 52])


def _cut_in_half(data: bytearray) -> bytes:
    return bytes(data[: len(data) // 2])


def _no_section_headers(data: bytearray) -> bytes:
    end = _end_of_segments(data)
    _put(data, 40 if _wide(data) else 32, "Q" if _wide(data) else "I", 0)
    first = 58 if _wide(data) else 46
    for offset in (first, first + 2, first + 4):
        _put(data, offset, "H", 0)
    return bytes(data[:end])


def _cut_section_headers(data: bytearray) -> bytes:
    return bytes(data[: _end_of_segments(data)])


def _without(kind: int) -> Callable[[bytearray], bytes]:
    def remove(data: bytearray) -> bytes:
        for found, place in _segments(data):
            if found == kind:
                _put(data, place, "I", 0)
        return bytes(data)

    return remove


def _program_headers_beyond_the_end(data: bytearray) -> bytes:
    _put(data, 32 if _wide(data) else 28, "Q" if _wide(data) else "I", len(data) + 4096)
    return bytes(data)


def _program_header_size(data: bytearray) -> bytes:
    _put(data, 54 if _wide(data) else 42, "H", 17)
    return bytes(data)


def _freebsd(data: bytearray) -> bytes:
    data[7] = _FREEBSD
    return bytes(data)


def _abi_version(data: bytearray) -> bytes:
    data[8] = 99
    return bytes(data)


def _no_float_flag(data: bytearray) -> bytes:
    _put(data, 36, "I", _get(data, 36, "I") & ~_FLOAT_FLAGS)
    return bytes(data)


def _soft_float_program(data: bytearray) -> bytes:
    """What the linker writes for the other calling convention; Debian's compiler has no start files for it."""
    _put(data, 36, "I", _get(data, 36, "I") & ~_FLOAT_FLAGS | _SOFT_FLOAT)
    hard, soft = b"/lib/ld-linux-armhf.so.3", b"/lib/ld-linux.so.3"
    assert hard in data
    return bytes(data).replace(hard, soft.ljust(len(hard), b"\0"))


def _unknown_relocation(data: bytearray) -> bytes:
    """Change the kind of the first relocation: DT_RELA (7) on 64 bits, DT_REL (17) on 32."""
    wide = _wide(data)
    size = 8 if wide else 4
    start = next(_field(data, place, "offset") for kind, place in _segments(data) if kind == _PT_DYNAMIC)
    tag = 0
    for place in range(start, len(data), 2 * size):
        tag = _get(data, place, "Q" if wide else "I")
        if tag == (7 if wide else 17):
            address = _get(data, place + size, "Q" if wide else "I")
            break
    else:
        raise AssertionError("it has no relocation")
    load = next(
        p
        for kind, p in _segments(data)
        if kind == _PT_LOAD and 0 <= address - _field(data, p, "vaddr") < _field(data, p, "filesz")
    )
    entry = address - _field(data, load, "vaddr") + _field(data, load, "offset")
    if wide:
        _put(data, entry + 8, "I", 999)
    else:
        data[entry + 4] = 250
    return bytes(data)


_KINDS: dict[str, Callable[[bytearray], bytes]] = {
    "machine": _machine,
    "header-only": _header_only,
    "cut-in-half": _cut_in_half,
    "no-section-headers": _no_section_headers,
    "cut-section-headers": _cut_section_headers,
    "no-dynamic-section": _without(_PT_DYNAMIC),
    "no-stack-header": _without(_PT_GNU_STACK),
    "program-headers-beyond-the-end": _program_headers_beyond_the_end,
    "program-header-size": _program_header_size,
    "freebsd": _freebsd,
    "abi-version": _abi_version,
    "no-float-flag": _no_float_flag,
    "soft-float-program": _soft_float_program,
    "unknown-relocation": _unknown_relocation,
}
