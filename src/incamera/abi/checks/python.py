"""Checks of extension modules: a file name that Python looks for, and the module's entry point.

A file's name doesn't prove that Python imports it: ctypes and cffi open files with such names, too, and packages have
modules for several Pythons, of which each takes its own. So a fault is an error only for a module that is certainly
imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.abi.checks.imports import find_imported
from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.remedies import Source, build_for, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from incamera.abi.objects import Object
    from incamera.abi.subject import Subject
    from incamera.targets.target import Target

_NAME = re.compile(
    r"(?P<stem>[^.]+)(?:\.(?P<tag>(?P<python>cpython-(?P<version>\d+)\w*|pypy\d+-\w+|graalpy\w+)"
    r"(?:-(?P<platform>[\w-]+))?|abi\d+t?(?:-[\w-]+)?))?\.so"
)

_PACKAGE = "__init__"
_ENTRY_POINTS = ("PyInit_", "PyInitU_")


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


def entry_point(item: Object, name: ModuleName) -> str:
    """Return the name of the function that Python calls to initialise the module in *item*."""
    stem = name.stem
    if stem == _PACKAGE:
        # Python initialises a package by its own name, which is that of its folder.
        stem = item.folder.rpartition("/")[2] or stem
    if stem.isascii():
        return f"PyInit_{stem}"
    return "PyInitU_" + stem.encode("punycode").decode().replace("-", "_")


def is_importable(item: Object, target: Target) -> bool:
    """Return whether Python on *target* can import this file as a module, judging by its name and its entry point."""
    name = parse_module_name(item.name)
    if name is None:
        return False
    if not name.tag:
        return item.symbols is not None and entry_point(item, name) in item.symbols.exports
    return name.tag in ("abi3", _tag(target))


def is_for_another_python(item: Object, target: Target) -> bool:
    """Return whether no Python on *target* looks for this module's file name."""
    name = parse_module_name(item.name)
    return name is not None and name.tag not in ("", "abi3", _tag(target))


def _tag(target: Target) -> str:
    return f"cpython-{target.python.replace('.', '')}-{target.architecture.facts.gnu}"


def find_module_faults(
    items: Sequence[Object], subject: Subject, target: Target, exports: Callable[[Object, str], bool]
) -> tuple[list[Finding], tuple[str, ...]]:
    """Return findings for modules that Python cannot import, and the files that may be libraries rather than modules.

    *items*: the valid ELF files of *subject*. *exports* tells whether one of them, with what it needs, has a function.
    """
    foreign = [item for item in items if is_for_another_python(item, target)]
    without_entry = [item for item in items if _lacks_entry_point(item, target, exports)]
    if not foreign and not without_entry:
        return [], ()
    imported = find_imported(subject, [module_path(item) for item in (*foreign, *without_entry)])
    findings = []
    libraries = []
    for item in foreign:
        certain = _is_certainly_imported(item, subject, imported)
        findings.append(_wrong_name(item, subject, target, certain and not _has_other_file(item, subject, target)))
    for item in without_entry:
        certain = _is_certainly_imported(item, subject, imported)
        if certain or is_module(item):
            findings.append(_missing_entry_point(item, subject, certain))
        else:
            libraries.append(item.path)
    return findings, tuple(libraries)


def module_path(item: Object) -> str:
    """Return the path of the module in *item* without its suffix: `fast/core`; for a package's file, its folder."""
    name = parse_module_name(item.name)
    stem = name.stem if name is not None else item.name
    if stem == _PACKAGE:
        return item.folder
    return f"{item.folder}/{stem}".lstrip("/")


def _is_certainly_imported(item: Object, subject: Subject, imported: set[str]) -> bool:
    if module_path(item) in imported:
        return True
    return not subject.sources and is_module(item)  # without Python code, modules are there to be imported


def is_module(item: Object) -> bool:
    """Return whether the content of *item* is that of an extension module."""
    return item.symbols is None or any(name.startswith(_ENTRY_POINTS) for name in item.symbols.exports)


def _has_other_file(item: Object, subject: Subject, target: Target) -> bool:
    """Return whether another file has the same module, in a form that Python on *target* loads."""
    path = f"{item.folder}/{item.name.partition('.')[0]}".lstrip("/")
    files = {*subject.objects, *subject.sources, *subject.links}
    return any(f"{path}{suffix}" in files for suffix in (f".{_tag(target)}.so", ".abi3.so", ".so", ".py"))


def _wrong_name(item: Object, subject: Subject, target: Target, certain: bool) -> Finding:
    name = parse_module_name(item.name)
    assert name is not None
    wrong_version = name.version != target.python.replace(".", "") and not name.tag.startswith("abi")
    if wrong_version:
        needs, provides = _describe_python(name), f"Python {target.python}"
        remedy = build_for(subject, f"Python {target.python}", path=item.path)
    else:
        needs = f"a Python that looks for .{name.tag}.so"
        provides = f"Python {target.python}, which looks for .{_tag(target)}.so"
        source = source_of(subject)
        remedy = "build it with the target's sysconfig" + (
            ", as `incamera build` does" if source is Source.project else ""
        )
        if source is Source.wheel:
            remedy = build_for(subject, f"{target.architecture} and Python {target.python}", path=item.path)
    return Finding(
        kind=Kind.wrong_python_version if wrong_version else Kind.wrong_suffix,
        severity=Severity.error if certain else Severity.warning,
        file=item.path,
        needs=needs,
        provides=provides,
        remedy=remedy if certain else f"{remedy}; nothing to do if nothing imports it",
    )


def _describe_python(name: ModuleName) -> str:
    if not name.version:
        return f"another Python, {name.tag.partition('-')[0]}"
    return f"Python {name.version[0]}.{name.version[1:]}"


def _lacks_entry_point(item: Object, target: Target, exports: Callable[[Object, str], bool]) -> bool:
    name = parse_module_name(item.name)
    if name is None or name.tag not in ("abi3", _tag(target)) or item.symbols is None or item.damage:
        return False
    if name.stem == _PACKAGE and not item.folder:
        return False  # the package's name is not known
    return not exports(item, entry_point(item, name))


def _missing_entry_point(item: Object, subject: Subject, certain: bool) -> Finding:
    name = parse_module_name(item.name)
    assert name is not None
    return Finding(
        kind=Kind.missing_symbol,
        severity=Severity.error if certain else Severity.warning,
        file=item.path,
        needs=entry_point(item, name),
        provides="a file without that function, which Python calls first",
        remedy="use another version of the wheel: the file has another module than its name says"
        if source_of(subject) is Source.wheel
        else "rename the file to the name of the module that it contains",
    )
