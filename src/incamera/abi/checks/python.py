"""What Python asks of a file before a loader sees it: a name that it looks for, and a way in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Kind, Severity

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.subject import Subject
    from incamera.targets.target import Target

_NAME = re.compile(
    r"(?P<stem>[^.]+)(?:\.(?P<tag>(?P<python>cpython-(?P<version>\d+)\w*|pypy\d+-\w+|graalpy\w+)"
    r"(?:-(?P<platform>[\w-]+))?|abi3))?\.so"
)


@dataclass(frozen=True, slots=True)
class ModuleName:
    """`tag` is what stands between the module's name and `.so`: "" for nothing, then it may be no module at all."""

    stem: str
    tag: str
    version: str
    platform: str


def parse_module_name(name: str) -> ModuleName | None:
    """Parse a file's name; None for what cannot be a module's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return ModuleName(match["stem"], match["tag"] or "", match["version"] or "", match["platform"] or "")


def entry_point(stem: str) -> str:
    """Return the function by which Python enters the module."""
    if stem.isascii():
        return f"PyInit_{stem}"
    return "PyInitU_" + stem.encode("punycode").decode().replace("-", "_")


def is_importable(item: Object, target: Target) -> bool:
    """Does Python on *target* take this file for a module?"""
    name = parse_module_name(item.name)
    if name is None:
        return False
    if not name.tag:
        return item.symbols is not None and entry_point(name.stem) in item.symbols.exports
    return name.tag in ("abi3", _tag(target))


def _tag(target: Target) -> str:
    return f"cpython-{target.python.replace('.', '')}-{target.architecture.facts.gnu}"


def find_unimportable(item: Object, subject: Subject, target: Target) -> Iterator[Finding]:
    """A module whose name this Python doesn't look for."""
    name = parse_module_name(item.name)
    if name is None or name.tag in ("", "abi3", _tag(target)):
        return
    there = any(
        f"{item.folder}/{name.stem}{suffix}".lstrip("/") in {*subject.objects, *subject.sources, *subject.links}
        for suffix in (f".{_tag(target)}.so", ".abi3.so", ".so", ".py")
    )
    wrong_version = name.version != target.python.replace(".", "")
    yield Finding(
        kind=Kind.wrong_python_version if wrong_version else Kind.wrong_suffix,
        # With another file for the same module, this one only takes up room.
        severity=Severity.warning if there else Severity.error,
        file=item.path,
        needs=_describe_python(name) if wrong_version else f"a Python that looks for .{name.tag}.so",
        provides=f"Python {target.python}" + ("" if wrong_version else f", which looks for .{_tag(target)}.so"),
        remedy='build its package for the target: name it in sources as "sdist"'
        if wrong_version
        else "build it with the target's sysconfig, as `incamera build` does",
    )


def _describe_python(name: ModuleName) -> str:
    if not name.version:
        return f"another Python, {name.tag.partition('-')[0]}"
    return f"Python {name.version[0]}.{name.version[1:]}"


def find_no_entry(item: Object, target: Target) -> Iterator[Finding]:
    """A module without the function that Python calls first."""
    name = parse_module_name(item.name)
    if name is None or name.tag not in ("abi3", _tag(target)) or item.symbols is None or item.damage:
        return
    if entry_point(name.stem) not in item.symbols.exports:
        yield Finding(
            kind=Kind.missing_symbol,
            severity=Severity.error,
            file=item.path,
            needs=entry_point(name.stem),
            provides="a file without that function, which Python calls first",
            remedy="give the file the name of the module that it holds",
        )
