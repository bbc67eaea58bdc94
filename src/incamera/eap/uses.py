"""Which of the camera's functions an app uses: modules of acap that its sources name, and libraries of the camera."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.elf import is_elf, read_needed
from incamera.runtime import layout

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.tree import Entry

PACKAGE = "acap"
# Increase it when other uses are found in the same files.
FORMAT = 1
_MENTION = PACKAGE.encode()
_NAMED = re.compile(rb"\bacap\.(\w+)|\bfrom[ \t]+acap[ \t]+import[ \t(]+([\w, \t]+)")
# They run for tests and consoles, or are what is used.
_NOT_THE_APP = (PACKAGE, "incamera_agent")


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """The *file* uses *name*: a module of acap, or with *is_library* the soname of a library."""

    name: str
    file: str
    is_library: bool = False

    def __str__(self) -> str:
        return f"{self.file} uses {self.name if self.is_library else f'{PACKAGE}.{self.name}'}"


def find_uses(root: Path, entries: Iterable[Entry]) -> list[Use]:
    """Return what the app and the packages of the bundle in *root* use, each once, with the first file that does."""
    found: dict[tuple[str, bool], Use] = {}
    for entry in entries:
        place = next((place for place in (layout.APP, layout.PACKAGES) if entry.path.startswith(f"{place}/")), None)
        if place is None or entry.link:
            continue
        name = entry.path.removeprefix(f"{place}/")
        if place == layout.PACKAGES and name.partition("/")[0] in _NOT_THE_APP:
            continue
        for use in _uses_of(root / entry.path, name):
            found.setdefault((use.name, use.is_library), use)
    return sorted(found.values())


def _uses_of(path: Path, name: str) -> Iterator[Use]:
    if name.endswith(".py"):
        yield from (Use(module, name) for module in find_modules(path.read_bytes()))
    elif ".so" in name:
        yield from (Use(library, name, is_library=True) for library in _needed(path))


def _needed(path: Path) -> Sequence[str]:
    try:
        return read_needed(path) if is_elf(path) else ()
    except (OSError, ValueError):
        return ()


def find_modules(source: bytes) -> list[str]:
    """Return the names in acap that *source* uses: `video` for `acap.video.Stream` and for `import acap.video`."""
    if _MENTION not in source:
        return []
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # for a newer Python than this computer's
        return find_mentions(source)
    names = {PACKAGE}
    found: set[str] = set()
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, module = alias.name.partition(".")
                if top == PACKAGE and module:
                    found.add(module.partition(".")[0])
                elif top == PACKAGE and alias.asname:
                    names.add(alias.asname)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top, _, module = node.module.partition(".")
            if top == PACKAGE:
                found.update([module.partition(".")[0]] if module else [alias.name for alias in node.names])
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            found.add(node.attr)
    return sorted(found)


def find_mentions(source: bytes) -> list[str]:
    """Return about the same without parsing *source*, which nobody knows: a hostile one could end Python's parser."""
    words = b" ".join(one or several.replace(b",", b" ") for one, several in _NAMED.findall(source))
    return sorted({word.decode() for word in words.split()})
