"""The shared libraries of a device, read over the connection: what they need, define and export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.disk import write_cache
from incamera.elf import dump_exports, parse_elf, parse_symbols

if TYPE_CHECKING:
    from incamera.device.facts import DeviceFacts
    from incamera.transport.session import Session

_READ_SECONDS = 300.0
# Many times what all libraries of a camera that an app uses take.
_READ_BYTES = 512 << 20
# Of a process on this computer, as large as ours may be: each of its libraries takes 3 kB.
_MAPS_BYTES = 8 << 20
_PAGE_SIZE = re.compile(rb"KernelPageSize:\s+(\d{1,6}) kB")
_PAGE_SIZES = (4096, 16384, 65536)
_USUAL_PAGE_SIZE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryTable:
    """What was read of a device's libraries: by soname facts as `ElfFacts.to_json` gives them, and `time_bits`."""

    page_size: int
    rows: Mapping[str, Mapping[str, Any]]
    symbols: Path

    def load_exports(self) -> dict[str, list[str]]:
        """Return, by real file name, the lines of `elf.dump_exports`."""
        return _load(self.symbols)


def ensure_libraries(session: Session, facts: DeviceFacts, sonames: Iterable[str], *, cache: Path) -> LibraryTable:
    """Return what is known of those of *sonames* that the device has, and of what they need there in turn.

    What is read once is kept in the folder *cache*, for as long as the device has the same firmware. A library that
    cannot be read, or is none, has no row. Raises DeviceError where the device's answer is not whole.
    """
    file = cache / f"abi-{facts.fingerprint}.json"
    symbols = cache / f"symbols-{facts.fingerprint}.json"
    known = _load(file) or {"page_size": read_page_size(session), "rows": {}}
    there = {library.soname: library for library in facts.libraries}
    wanted = {name for name in sonames if name in there}
    exports: dict[str, list[str]] = {}
    absent: set[str] = set()
    before = len(known["rows"])
    while missing := sorted(wanted - set(known["rows"])):
        files = session.get_all([there[name].path for name in missing], limit=_READ_BYTES, timeout=_READ_SECONDS)
        for name in missing:
            if there[name].path not in files:  # next time it may be
                wanted.discard(name)
                absent.add(name)
                continue
            known["rows"][name] = row = describe_library(files[there[name].path])
            if row is not None:
                exports[there[name].real_name] = row.pop("exports")
        needed = {name for row in known["rows"].values() if row for name in row["needed"] if name in there}
        wanted |= needed - absent
    if len(known["rows"]) > before:
        _save(symbols, _load(symbols) | exports)  # first: what has a row has its symbols there
        _save(file, known)
    rows = {name: row for name, row in known["rows"].items() if row}
    return LibraryTable(page_size=known["page_size"], rows=rows, symbols=symbols)


def describe_library(data: bytes) -> dict[str, Any] | None:
    """Return what an audit wants to know of a library; None for what is none."""
    try:
        facts, symbols = parse_elf(data), parse_symbols(data)
    except ValueError:
        return None
    bits = symbols.time_bits if facts.bits == 32 else 64
    return facts.to_json() | {"time_bits": bits, "exports": dump_exports(symbols.exports)}


def read_page_size(session: Session) -> int:
    """Return the size of a page of the device's memory, in bytes."""
    match = _PAGE_SIZE.search(session.get("/proc/self/smaps", limit=_MAPS_BYTES))
    size = int(match[1]) * 1024 if match else 0
    return size if size in _PAGE_SIZES else _USUAL_PAGE_SIZE


def _load(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _save(path: Path, known: Mapping[str, Any]) -> None:
    write_cache(path, json.dumps(known).encode())
