"""Check of the libraries that Python code loads by name, as far as the name is a literal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Kind, Severity

if TYPE_CHECKING:
    from incamera.abi.process import Process
    from incamera.abi.subject import Subject

# The app's own files are parsed. Packages have thousands of files, so theirs are only searched with a pattern.
_LOADS_LIBRARIES = re.compile(rb"CDLL|PyDLL|LoadLibrary|find_library|dlopen")
_CALL = re.compile(
    r"""\b(?:CDLL|PyDLL|LoadLibrary|dlopen)\(\s*(?P<quoted>["'](?P<name>[^"'\n]+)["']|(?P<other>[^\s)]))"""
)
_SONAME = re.compile(r"[^/]+\.so(?:\.\d+)*")
_LOADERS = frozenset({"CDLL", "PyDLL", "LoadLibrary", "dlopen"})
_APP = "app/"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Call:
    file: str
    line: int
    function: str
    name: str | None
    """The library's name; None where the code computes it."""


def find_loaded_by_name(subject: Subject, process: Process) -> tuple[list[Finding], list[str]]:
    """Return findings for libraries that are missing, and the limits of the check: names that the code computes."""
    findings = []
    computed = []
    for call in _calls(subject):
        where = f"{call.file}:{call.line}"
        if call.function == "find_library":
            if call.name is not None:
                findings.append(_find_library(where, call.name))
        elif call.name is None:
            computed.append(where)
        elif _SONAME.fullmatch(call.name) and process.search(call.name, ())[0] is None:
            findings.append(
                Finding(
                    kind=Kind.missing_library,
                    severity=Severity.warning,
                    file=where,
                    needs=call.name,
                    provides=f"nothing of that name {process.name}",
                    remedy="add the Debian package that has it to debs in [tool.incamera]",
                )
            )
    limits = []
    if computed:
        shown = ", ".join(computed[:_SHOWN]) + (f" and {len(computed) - _SHOWN} more" if len(computed) > _SHOWN else "")
        limits.append(f"libraries whose names Python code computes: {shown}")
    return findings, limits


def _find_library(where: str, name: str) -> Finding:
    return Finding(
        kind=Kind.missing_library,
        severity=Severity.warning,
        file=where,
        needs=f'ldconfig or a compiler, which find_library("{name}") runs',
        provides="neither: find_library returns None",
        remedy=f'name the file instead: ctypes.CDLL("lib{name}.so.N")',
    )


def _calls(subject: Subject) -> Iterator[_Call]:
    for path in subject.sources:
        try:
            data = (subject.root / path).read_bytes()
        except OSError:
            continue
        if not _LOADS_LIBRARIES.search(data):
            continue
        text = data.decode("utf-8", "replace")
        if path.startswith(_APP) or (subject.shape != "bundle" and subject.wheel is None):
            yield from _parse_calls(path, text)
        else:
            yield from _search_calls(path, text)


def _search_calls(path: str, text: str) -> Iterator[_Call]:
    if "import ctypes" not in text and "from ctypes" not in text and "dlopen" not in text:
        return
    for match in _CALL.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield _Call(path, line, "CDLL", match["name"])


def _parse_calls(path: str, text: str) -> Iterator[_Call]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function not in _LOADERS and function != "find_library":
            continue
        first = node.args[0]
        if isinstance(first, ast.Constant):
            if isinstance(first.value, str):
                yield _Call(path, node.lineno, function, first.value)
        else:
            yield _Call(path, node.lineno, function, None)
