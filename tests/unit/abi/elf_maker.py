"""Makes small valid ELF files with the properties that a test needs."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EM_ARM, EM_X86_64, EM_AARCH64 = 40, 62, 183
HARD, SOFT = 0x05000400, 0x05000200
_PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class ElfSpec:
    """What an ELF file says. A symbol of `imports` and `exports` may carry a version: `name@VERSION`."""

    machine: int = EM_ARM
    flags: int | None = None
    type: int = 3
    soname: str | None = None
    needed: Sequence[str] = ()
    rpath: str | None = None
    runpath: str | None = None
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    defines: Sequence[str] = ()
    imports: Sequence[str] = ()
    weak: Sequence[str] = ()
    exports: Sequence[str] = ()
    interpreter: str | None = None
    program: bool = False
    stack: int | None = 6
    """The flags of the stack header; None leaves the header out."""
    alignment: int = _PAGE
    shift: int = 0
    """The difference between the segment's address and its offset in the file, in bytes."""
    text_relocations: bool = False
    packed: Sequence[int] = ()
    """The words of its packed relocations (DT_RELR)."""
    flags_1: int = 0
    """Of the dynamic section (DF_1_…)."""
    attributes: Mapping[int, int] | None = None
    """The ARM build attributes; None leaves the section out."""

    @property
    def is_64bit(self) -> bool:
        return self.machine != EM_ARM


def make_elf(**fields: Any) -> bytes:
    """Return the ELF file with these *fields* of `ElfSpec`."""
    return _Writer(ElfSpec(**fields)).write()


class _Writer:
    def __init__(self, spec: ElfSpec) -> None:
        self._spec = spec
        self._names = _Names()
        defined = {version: 2 + number for number, version in enumerate(spec.defines)}
        needed = dict.fromkeys(version for versions in spec.needs.values() for version in versions)
        self._needed = {version: 2 + len(defined) + number for number, version in enumerate(needed)}
        self._versions = defined | self._needed

    def write(self) -> bytes:
        spec, is_64bit = self._spec, self._spec.is_64bit
        parts = self._make_parts()
        tags = self._make_tags(parts)
        parts["strings"] = bytes(self._names.data)
        tags += [(10, len(self._names.data)), (0, 0)]
        parts["dynamic"] = bytes(len(tags) * (16 if is_64bit else 8))

        count = 2 + (spec.stack is not None) + bool(spec.interpreter)
        end = (64 if is_64bit else 52) + count * (56 if is_64bit else 32)
        offsets = {}
        for name, data in parts.items():
            end += -end % 8
            offsets[name] = end
            end += len(data)
        form = "<qQ" if is_64bit else "<iI"
        parts["dynamic"] = b"".join(
            struct.pack(form, _signed(tag, is_64bit), offsets[value] + spec.shift if isinstance(value, str) else value)
            for tag, value in tags
        )
        section = _attributes(spec.attributes) if spec.attributes is not None else b""
        output = bytearray(_header(spec, count, end, bool(section)))
        for header in self._make_headers(parts, offsets, end):
            output += _program_header(is_64bit, *header)
        for name, data in parts.items():
            output += bytes(offsets[name] - len(output)) + data
        if section:
            table = end + len(section)
            output += section + struct.pack("<10I", *([0] * 10))
            output += struct.pack("<10I", 0, 0x70000003, 0, 0, end, len(section), 0, 0, 1, 0)
            output[32:36] = struct.pack("<I", table)
        return bytes(output)

    def _make_parts(self) -> dict[str, bytes]:
        spec = self._spec
        symbols, indexes = _symbols(spec, self._names, self._versions)
        return {
            "hash": struct.pack("<4I", 1, len(indexes), 0, 0) + bytes(4 * (len(indexes) - 1)),
            "symbols": symbols,
            "versym": struct.pack(f"<{len(indexes)}H", *indexes) if self._versions else b"",
            "verneed": _needed_versions(self._names, spec.needs, self._needed),
            "verdef": _defined_versions(self._names, spec.soname or "self", spec.defines),
            "packed": struct.pack(f"<{len(spec.packed)}{'Q' if spec.is_64bit else 'I'}", *spec.packed),
            "interpreter": spec.interpreter.encode() + b"\0" if spec.interpreter else b"",
        }

    def _make_tags(self, parts: Mapping[str, bytes]) -> list[tuple[int, int | str]]:
        """Return the tags and values of the dynamic section; a string stands for the offset of that part."""
        spec, names = self._spec, self._names
        texts = ((14, spec.soname), (15, spec.rpath), (29, spec.runpath))
        tags: list[tuple[int, int | str]] = [(1, names.add(name)) for name in spec.needed]
        tags += [(tag, names.add(text)) for tag, text in texts if text is not None]
        tags += [(4, "hash"), (6, "symbols"), (11, 24 if spec.is_64bit else 16), (5, "strings")]
        if parts["versym"]:
            tags.append((0x6FFFFFF0, "versym"))
        if spec.needs:
            tags += [(0x6FFFFFFE, "verneed"), (0x6FFFFFFF, len(spec.needs))]
        if spec.defines:
            tags += [(0x6FFFFFFC, "verdef"), (0x6FFFFFFD, len(spec.defines) + 1)]
        if spec.packed:
            tags += [(36, "packed"), (35, len(parts["packed"])), (37, 8 if spec.is_64bit else 4)]
        if spec.text_relocations:
            tags.append((22, 0))
        if spec.program:
            tags.append((21, 0))
        if spec.program or spec.flags_1:
            tags.append((0x6FFFFFFB, spec.flags_1 | 0x08000000 * spec.program))
        return tags

    def _make_headers(
        self, parts: Mapping[str, bytes], offsets: Mapping[str, int], end: int
    ) -> list[tuple[int, int, int, int, int, int]]:
        """Return kind, offset, address, size, flags and alignment of each program header."""
        spec = self._spec
        headers = [
            (1, 0, spec.shift, end, 7, spec.alignment),
            (2, offsets["dynamic"], offsets["dynamic"] + spec.shift, len(parts["dynamic"]), 6, 8),
        ]
        if spec.stack is not None:
            headers.append((0x6474E551, 0, 0, 0, spec.stack, 16))
        if spec.interpreter:
            start = offsets["interpreter"]
            headers.append((3, start, start + spec.shift, len(parts["interpreter"]), 4, 1))
        return headers


class _Names:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, name: str) -> int:
        self.data += name.encode() + b"\0"
        return len(self.data) - len(name.encode()) - 1


def _signed(tag: int, is_64bit: bool) -> int:
    return tag - (1 << 32) if tag >= 1 << 31 and not is_64bit else tag


def _symbols(spec: ElfSpec, names: _Names, versions: Mapping[str, int]) -> tuple[bytes, list[int]]:
    """Return the symbol table, and the index of each symbol's version."""
    output = bytearray(24 if spec.is_64bit else 16)
    indexes = [0]
    for symbols, binding, section in ((spec.imports, 1, 0), (spec.weak, 2, 0), (spec.exports, 1, 1)):
        for symbol in symbols:
            text, _, version = symbol.partition("@")
            name, value = names.add(text), 16 * section
            if spec.is_64bit:
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
        for offset, version in enumerate(versions):
            following = 0 if offset == len(versions) - 1 else 16
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


def _header(spec: ElfSpec, count: int, end: int, has_sections: bool) -> bytes:
    flags = spec.flags if spec.flags is not None else 0 if spec.is_64bit else HARD
    ident = b"\x7fELF" + bytes((2 if spec.is_64bit else 1, 1, 1)) + bytes(9)
    form = "<HHIQQQIHHHHHH" if spec.is_64bit else "<HHIIIIIHHHHHH"
    size, header, section = (64, 56, 64) if spec.is_64bit else (52, 32, 40)
    sections = 2 * has_sections
    fields = (spec.type, spec.machine, 1, 0, size, 0, flags, size, header, count, section, sections, 0)
    return ident + struct.pack(form, *fields)


def _program_header(
    is_64bit: bool, kind: int, offset: int, address: int, size: int, flags: int, alignment: int
) -> bytes:
    if is_64bit:
        return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, alignment)
    return struct.pack("<IIIIIIII", kind, offset, address, address, size, size, flags, alignment)
