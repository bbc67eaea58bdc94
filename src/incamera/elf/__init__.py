"""Reads ELF files and returns what they say as values. The audit (`incamera.abi`) judges them."""

from incamera.elf.attributes import ArmAttributes
from incamera.elf.exports import Exports, dump_exports, pack_exports, parse_exports, unpack_exports
from incamera.elf.facts import (
    ElfFacts,
    ElfType,
    Reference,
    Segment,
    Symbols,
    parse_facts,
)
from incamera.elf.file import (
    clear_executable_stack,
    is_elf,
    parse_elf,
    parse_identity,
    parse_section,
    parse_symbols,
    read_elf,
    read_lazy_functions,
    read_loadable,
    read_loading_parts,
    read_needed,
    read_symbols,
)
from incamera.elf.tables import ELF_MAGIC

__all__ = [
    "ELF_MAGIC",
    "ArmAttributes",
    "ElfFacts",
    "ElfType",
    "Exports",
    "Reference",
    "Segment",
    "Symbols",
    "clear_executable_stack",
    "dump_exports",
    "is_elf",
    "pack_exports",
    "parse_elf",
    "parse_exports",
    "parse_facts",
    "parse_identity",
    "parse_section",
    "parse_symbols",
    "read_elf",
    "read_lazy_functions",
    "read_loadable",
    "read_loading_parts",
    "read_needed",
    "read_symbols",
    "unpack_exports",
]
