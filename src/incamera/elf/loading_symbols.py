"""Check that a loader can find the symbols and versions of an ELF file, without leaving its segments."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.elf.image import Image

_HASH, _SYMTAB, _GNU_HASH = 4, 6, 0x6FFFFEF5
_VERSYM, _VERDEF, _VERNEED = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFE
_MAX_VERSIONS = 0x7FFF
_SAMPLE = 8


def check_symbols(image: Image) -> int | None:
    """Return how many symbols *image* has; None when no table says. Raises ValueError when a table is malformed."""
    return _Symbols(image).check()


class _Symbols:
    def __init__(self, image: Image) -> None:
        self._image = image
        self._tables = image.tables
        self._tags = image.tags
        self._left = 2 * _MAX_VERSIONS  # records of versions; a damaged chain may be endless

    def check(self) -> int | None:
        if _HASH not in self._tags and _GNU_HASH not in self._tags:
            raise ValueError("it has no table to find its symbols (DT_HASH, DT_GNU_HASH)")
        count: int | None = None
        if _GNU_HASH in self._tags:
            count = self._check_gnu_hash(self._tags[_GNU_HASH])
        elif _HASH in self._tags:
            count = self._check_hash(self._tags[_HASH])
        known = self._check_versions()
        if len(known) > 2:
            self._image.value(_VERSYM, "DT_VERSYM")
        if count is None:
            self._image.require(self._tags[_SYMTAB], 1, "symbol table (DT_SYMTAB)")
            return None
        words = 6 if self._tables.is_64bit else 4
        names = self._image.numbers(self._tags[_SYMTAB], count * words, "symbol table (DT_SYMTAB)")[::words]
        if max(names, default=0) >= max(1, len(self._tables.strings)):
            raise ValueError("the name of a symbol lies outside of its string table (DT_STRTAB)")
        if _VERSYM in self._tags:
            versions = set(self._image.numbers(self._tags[_VERSYM], count, "table of versions (DT_VERSYM)", "H"))
            if {version & _MAX_VERSIONS for version in versions} - known:
                raise ValueError("a symbol of it has a version that it neither defines nor needs (DT_VERSYM)")
        return count

    def _check_gnu_hash(self, address: int) -> int | None:
        name = "hash table (DT_GNU_HASH)"
        buckets, first, words, shift = self._image.unpack("4I", address, name)
        if words & (words - 1) or not words or shift >= 32:
            raise ValueError(f"its {name} is malformed")
        place = address + 16 + words * self._image.word
        self._image.require(address + 16, words * self._image.word, name)
        heads = self._image.numbers(place, buckets, name)
        chains = place + 4 * buckets
        last = max(heads, default=0)
        if any(0 < head < first for head in heads):
            raise ValueError(f"its {name} is malformed")
        if not last:  # it exports nothing; there may be symbols that it imports
            return None
        segment = self._image.find_segment(chains, 4)
        room = (segment.address + segment.file_size - chains) // 4 if segment is not None else 0
        if last - first >= room:
            raise ValueError(f"outside of its segments: its {name}")
        step = 64
        while True:  # the chain that begins last is the one that ends last
            rest = self._image.numbers(chains + 4 * (last - first), min(step, room - (last - first)), name)
            end = next((number for number, value in enumerate(rest) if value & 1), None)
            if end is not None:
                count = last + end + 1
                break
            last += len(rest)
            if not rest or last - first >= room:
                raise ValueError(f"its {name} has no end")
        self._compare_hashes(
            self._image.numbers(chains, count - first, name), first, (address + 16, words, shift), heads
        )
        return count

    def _compare_hashes(self, chain: array[int], first: int, bloom: tuple[int, int, int], heads: array[int]) -> None:
        """Raise ValueError when the first symbols cannot be found through the hash table."""
        filter_address, words, shift = bloom
        bits = 8 * self._image.word
        size = 24 if self._tables.is_64bit else 16
        for number, value in enumerate(islice(chain, _SAMPLE)):
            (name,) = self._image.unpack("I", self._tags[_SYMTAB] + (first + number) * size, "symbol table (DT_SYMTAB)")
            found = _gnu_hash(self._tables.raw_string(name))
            place = filter_address + found // bits % words * self._image.word
            (word,) = self._image.unpack(self._image.code, place, "hash table (DT_GNU_HASH)")
            passes = word >> found % bits & word >> (found >> shift) % bits & 1
            if (value ^ found) >> 1 or not passes or not 0 < heads[found % len(heads)] <= first + number:
                raise ValueError("its hash table (DT_GNU_HASH) does not fit its symbols")

    def _check_hash(self, address: int) -> int:
        name = "hash table (DT_HASH)"
        buckets, count = self._image.unpack("2I", address, name)
        if count > len(self._tables.data) // 4:
            raise ValueError("it claims to have more symbols than fit into it")
        heads = self._image.numbers(address + 8, buckets, name)
        chain = self._image.numbers(address + 8 + 4 * buckets, count, name)
        if max((*heads, *chain), default=0) >= max(1, count):
            raise ValueError(f"its {name} is malformed")
        left = count
        for number in heads:
            while number:
                number = chain[number]
                left -= 1
                if left < 0:
                    raise ValueError(f"its {name} has no end")
        return count

    def _check_versions(self) -> set[int]:
        """Return the indexes of the versions that it needs and defines, with those of no version."""
        known = {0, 1}
        for address in self._records(_VERNEED, "HHIII", "needed versions (DT_VERNEED)"):
            version, _, library, entry, _ = self._image.unpack("HHIII", address, "needed versions (DT_VERNEED)")
            self._tables.string(library)
            if version != 1:
                raise ValueError("its needed versions (DT_VERNEED) are malformed")
            for place in self._chain(address + entry, "IHHII", "needed versions (DT_VERNEED)"):
                value, _, index, name, _ = self._image.unpack("IHHII", place, "needed versions (DT_VERNEED)")
                known.add(index & _MAX_VERSIONS)
                self._compare_version(name, value)
        for address in self._records(_VERDEF, "HHHHIII", "versions (DT_VERDEF)"):
            version, _, index, _, value, entry, _ = self._image.unpack("HHHHIII", address, "versions (DT_VERDEF)")
            if version != 1:
                raise ValueError("its versions (DT_VERDEF) are malformed")
            (name,) = self._image.unpack("I", address + entry, "versions (DT_VERDEF)")
            known.add(index & _MAX_VERSIONS)
            self._compare_version(name, value)
        return known

    def _compare_version(self, name: int, value: int) -> None:
        if value and _elf_hash(self._tables.raw_string(name)) != value:
            raise ValueError(f"the hash of its version {self._tables.string(name)} is wrong")

    def _records(self, tag: int, form: str, name: str) -> Iterator[int]:
        return self._chain(self._tags[tag], form, name) if tag in self._tags else iter(())

    def _chain(self, address: int, form: str, name: str) -> Iterator[int]:
        """Yield the address of each record from *address* on. Its last field is the distance to the next one, or 0."""
        while self._left:
            self._left -= 1
            yield address
            distance = self._image.unpack(form, address, name)[-1]
            if not distance:
                return
            address += distance
        raise ValueError(f"its {name} have no end")


@lru_cache(maxsize=4096)
def _elf_hash(text: bytes) -> int:
    value = 0
    for byte in text:
        value = (value << 4) + byte
        value = (value ^ (value >> 24 & 0xF0)) & 0x0FFFFFFF
    return value


def _gnu_hash(text: bytes) -> int:
    value = 5381
    for byte in text:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value
