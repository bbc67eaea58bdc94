"""Makes small sound ELF files, right and wrong as a test imports them: real bytes for the reader and the audit."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

EM_ARM, EM_X86_64, EM_AARCH64 = 40, 62, 183
HARD, SOFT = 0x05000400, 0x05000200
_PAGE = 4096


def make_elf(
    *,
    machine: int = EM_ARM,
    flags: int | None = None,
    type: int = 3,
    soname: str | None = None,
    needed: Sequence[str] = (),
    rpath: str | None = None,
    runpath: str | None = None,
    needs: Mapping[str, Sequence[str]] | None = None,
    defines: Sequence[str] = (),
    imports: Sequence[str] = (),
    weak: Sequence[str] = (),
    exports: Sequence[str] = (),
    interpreter: str | None = None,
    program: bool = False,
    stack: int | None = 6,
    alignment: int = _PAGE,
    shift: int = 0,
    text_relocations: bool = False,
    attributes: Mapping[int, int] | None = None,
) -> bytes:
    """Return an ELF file. A symbol of *imports* and *exports* may carry a version: `name@VERSION`.

    *shift* moves the segment's address against its place in the file.
    """
    is_64bit = machine != EM_ARM
    names = _Names()
    versions = {version: 2 + number for number, version in enumerate(defines)}
    asked = {version: 0 for listed in (needs or {}).values() for version in listed}
    for number, version in enumerate(asked):
        asked[version] = 2 + len(versions) + number
    symbols, indexes = _symbols(is_64bit, names, imports, weak, exports, versions | asked)
    parts = {
        "hash": struct.pack("<4I", 1, len(indexes), 0, 0) + bytes(4 * (len(indexes) - 1)),
        "symbols": symbols,
        "versym": struct.pack(f"<{len(indexes)}H", *indexes) if versions or asked else b"",
        "verneed": _needed_versions(names, needs or {}, asked),
        "verdef": _defined_versions(names, soname or "self", defines),
        "interpreter": interpreter.encode() + b"\0" if interpreter else b"",
    }
    tags: list[tuple[int, int | str]] = [(1, names.add(name)) for name in needed]
    tags += [(tag, names.add(text)) for tag, text in ((14, soname), (15, rpath), (29, runpath)) if text is not None]
    tags += [(4, "hash"), (6, "symbols"), (11, 24 if is_64bit else 16), (5, "strings")]
    if parts["versym"]:
        tags.append((0x6FFFFFF0, "versym"))
    if needs:
        tags += [(0x6FFFFFFE, "verneed"), (0x6FFFFFFF, len(needs))]
    if defines:
        tags += [(0x6FFFFFFC, "verdef"), (0x6FFFFFFD, len(defines) + 1)]
    if text_relocations:
        tags.append((22, 0))
    if program:
        tags += [(21, 0), (0x6FFFFFFB, 0x08000000)]
    parts["strings"] = bytes(names.data)
    tags += [(10, len(names.data)), (0, 0)]
    parts["dynamic"] = bytes(len(tags) * (16 if is_64bit else 8))

    count = 2 + (stack is not None) + bool(interpreter)
    place = (64 if is_64bit else 52) + count * (56 if is_64bit else 32)
    places = {}
    for name, data in parts.items():
        place += -place % 8
        places[name] = place
        place += len(data)
    form = "<qQ" if is_64bit else "<iI"
    parts["dynamic"] = b"".join(
        struct.pack(form, _signed(tag, is_64bit), places[value] + shift if isinstance(value, str) else value)
        for tag, value in tags
    )
    section = _attributes(attributes) if attributes is not None else b""
    headers = [
        (1, 0, shift, place, 7, alignment),
        (2, places["dynamic"], places["dynamic"] + shift, len(parts["dynamic"]), 6, 8),
    ]
    if stack is not None:
        headers.append((0x6474E551, 0, 0, 0, stack, 16))
    if interpreter:
        start = places["interpreter"]
        headers.append((3, start, start + shift, len(parts["interpreter"]), 4, 1))
    output = bytearray(
        _header(
            is_64bit,
            machine,
            flags if flags is not None else 0 if is_64bit else HARD,
            type,
            count,
            place,
            bool(section),
        )
    )
    for header in headers:
        output += _program_header(is_64bit, *header)
    for name, data in parts.items():
        output += bytes(places[name] - len(output)) + data
    if section:
        table = place + len(section)
        output += section + struct.pack("<10I", *([0] * 10))
        output += struct.pack("<10I", 0, 0x70000003, 0, 0, place, len(section), 0, 0, 1, 0)
        output[32:36] = struct.pack("<I", table)
    return bytes(output)


class _Names:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, name: str) -> int:
        self.data += name.encode() + b"\0"
        return len(self.data) - len(name.encode()) - 1


def _signed(tag: int, is_64bit: bool) -> int:
    return tag - (1 << 32) if tag >= 1 << 31 and not is_64bit else tag


def _symbols(
    is_64bit: bool,
    names: _Names,
    imports: Sequence[str],
    weak: Sequence[str],
    exports: Sequence[str],
    versions: Mapping[str, int],
) -> tuple[bytes, list[int]]:
    output = bytearray(24 if is_64bit else 16)
    indexes = [0]
    for listed, binding, section in ((imports, 1, 0), (weak, 2, 0), (exports, 1, 1)):
        for symbol in listed:
            text, _, version = symbol.partition("@")
            name, value = names.add(text), 16 * section
            if is_64bit:
                output += struct.pack("<IBBHQQ", name, binding << 4 | 2, 0, section, value, 4)
            else:
                output += struct.pack("<IIIBBH", name, value, 4, binding << 4 | 2, 0, section)
            indexes.append(versions[version] if version else 1)
    return bytes(output), indexes


def _needed_versions(names: _Names, needs: Mapping[str, Sequence[str]], indexes: Mapping[str, int]) -> bytes:
    output = b""
    for number, (library, versions) in enumerate(needs.items()):
        last = number == len(needs) - 1
        output += struct.pack(
            "<HHIII", 1, len(versions), names.add(library), 16, 0 if last else 16 + 16 * len(versions)
        )
        for place, version in enumerate(versions):
            following = 0 if place == len(versions) - 1 else 16
            output += struct.pack("<IHHII", 0, 0, indexes[version], names.add(version), following)
    return output


def _defined_versions(names: _Names, own: str, defines: Sequence[str]) -> bytes:
    if not defines:
        return b""
    output = b""
    for number, version in enumerate((own, *defines)):
        following = 0 if number == len(defines) else 28
        output += struct.pack("<HHHHIII", 1, number == 0, number + 1, 1, 0, 20, following)
        output += struct.pack("<II", names.add(version), 0)
    return output


def _attributes(tags: Mapping[int, int]) -> bytes:
    listed = b"".join(bytes((tag, value)) for tag, value in tags.items())
    part = b"\x01" + struct.pack("<I", 5 + len(listed)) + listed
    vendor = b"aeabi\0" + part
    return b"A" + struct.pack("<I", 4 + len(vendor)) + vendor


def _header(is_64bit: bool, machine: int, flags: int, type: int, count: int, end: int, sections: bool) -> bytes:
    ident = b"\x7fELF" + bytes((2 if is_64bit else 1, 1, 1)) + bytes(9)
    form = "<HHIQQQIHHHHHH" if is_64bit else "<HHIIIIIHHHHHH"
    size, header, section = (64, 56, 64) if is_64bit else (52, 32, 40)
    return ident + struct.pack(form, type, machine, 1, 0, size, 0, flags, size, header, count, section, 2 * sections, 0)


def _program_header(
    is_64bit: bool, kind: int, offset: int, address: int, size: int, flags: int, alignment: int
) -> bytes:
    if is_64bit:
        return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, alignment)
    return struct.pack("<IIIIIIII", kind, offset, address, address, size, size, flags, alignment)
