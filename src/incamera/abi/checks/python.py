"""Checks of extension modules: a file name that Python looks for, and the module's entry point."""

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
    """The file name of an extension module, in parts.

    `tag`: the part between the module's name and `.so` (`cpython-311-arm-linux-gnueabihf`, `abi3`). Without one ("")
    the file may also be a library.
    `version`: the Python version in the tag (`311`).
    """

    stem: str
    tag: str
    version: str
    platform: str


def parse_module_name(name: str) -> ModuleName | None:
    """Return the parts of a module's file *name*; None for a name that Python never looks for."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return ModuleName(match["stem"], match["tag"] or "", match["version"] or "", match["platform"] or "")


def entry_point(stem: str) -> str:
    """Return the name of the function that Python calls to initialise the module *stem*."""
    if stem.isascii():
        return f"PyInit_{stem}"
    return "PyInitU_" + stem.encode("punycode").decode().replace("-", "_")


def is_importable(item: Object, target: Target) -> bool:
    """Return whether Python on *target* can import this file as a module, judging by its name and its entry point."""
    name = parse_module_name(item.name)
    if name is None:
        return False
    if not name.tag:
        return item.symbols is not None and entry_point(name.stem) in item.symbols.exports
    return name.tag in ("abi3", _tag(target))


def _tag(target: Target) -> str:
    return f"cpython-{target.python.replace('.', '')}-{target.architecture.facts.gnu}"


def find_unimportable(item: Object, subject: Subject, target: Target) -> Iterator[Finding]:
    """Yield a finding for a module whose file name the target's Python doesn't look for."""
    name = parse_module_name(item.name)
    if name is None or name.tag in ("", "abi3", _tag(target)):
        return
    has_other_file = any(
        f"{item.folder}/{name.stem}{suffix}".lstrip("/") in {*subject.objects, *subject.sources, *subject.links}
        for suffix in (f".{_tag(target)}.so", ".abi3.so", ".so", ".py")
    )
    wrong_version = name.version != target.python.replace(".", "")
    yield Finding(
        kind=Kind.wrong_python_version if wrong_version else Kind.wrong_suffix,
        # Where another file has the same module, this one only takes up space.
        severity=Severity.warning if has_other_file else Severity.error,
        file=item.path,
        needs=_describe_python(name) if wrong_version else f"a Python that looks for .{name.tag}.so",
        provides=f"Python {target.python}" + ("" if wrong_version else f", which looks for .{_tag(target)}.so"),
        remedy='build its package for the target: set it to "sdist" in [tool.incamera.sources]'
        if wrong_version
        else "build it with the target's sysconfig, as `incamera build` does",
    )


def _describe_python(name: ModuleName) -> str:
    if not name.version:
        return f"another Python, {name.tag.partition('-')[0]}"
    return f"Python {name.version[0]}.{name.version[1:]}"


def find_missing_entry_point(item: Object, target: Target) -> Iterator[Finding]:
    """Yield an error for a module without the function that Python calls to initialise it."""
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
            remedy="rename the file to the name of the module that it contains",
        )
