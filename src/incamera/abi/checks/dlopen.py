"""Check of the libraries that Python code loads by name, as far as the name is a literal."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.abi.checks.imports import find_importers, module_of
from incamera.abi.checks.python import is_module
from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.process import is_exported
from incamera.abi.remedies import bring_opened_library, load_before
from incamera.abi.subject import Shape
from incamera.abi.unpack import MAX_SOURCE_BYTES
from incamera.archives import BadArchive

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.process import Process
    from incamera.abi.subject import Subject
    from incamera.elf import Reference

# The app's own files are parsed. Packages have thousands of files, so theirs are only searched with a pattern.
_LOADS_LIBRARIES = re.compile(rb"CDLL|PyDLL|LoadLibrary|find_library|dlopen|\b(?:cdll|pydll)\[")
_LOADS_GLOBALLY = re.compile(rb"\bRTLD_GLOBAL\b|\bsetdlopenflags\b")
_LOADS_FILE = re.compile(rb"(?:CDLL|PyDLL|LoadLibrary|dlopen)\s*\(")
_CALL = re.compile(
    r"""(?<!def )\b(?P<function>CDLL|PyDLL|LoadLibrary|dlopen|find_library)"""
    r"""\(\s*(?:name\s*=\s*)?(?P<quoted>["'](?P<name>[^"'\n]+)["']|(?P<other>[^\s)]))"""
)
_IN_PACKAGES = re.compile(r".+-packages/[^/]+/")
_MAIN_PROGRAM = re.compile(rb"""^if __name__ == ["']__main__["']:""", re.MULTILINE)
_SONAME = re.compile(r"[^/]+\.so(?:\.\d+)*")
_TABLES = frozenset({"cdll", "pydll"})  # cdll["libx.so.1"] loads as LoadLibrary does
_LOADERS = frozenset({"CDLL", "PyDLL", "LoadLibrary", "dlopen", "find_library"})
# Names that portable packages look for on other systems; those of macOS' frameworks have a capital letter.
_OTHER_SYSTEMS = re.compile(r"[A-Z]\w*|objc|msvcrt\w*|kernel32|user32|advapi32|shell32|ws2_32|libc")
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
    by_file: dict[str, list[Finding]] = {}
    computed = []
    for call in _calls(subject):
        where = f"{call.file}:{call.line}"
        findings = by_file.setdefault(call.file, [])
        if call.name is None:
            computed.append(where)
        elif call.function == "find_library":
            findings += _check_find_library(subject, process, where, call.name)
        elif _SONAME.fullmatch(call.name) and process.search(call.name, ())[0] is None:
            findings.append(_missing(subject, where, call.name, f"nothing of that name {process.name}"))
    scripts = _find_scripts(subject, [file for file, findings in by_file.items() if findings])
    limits = []
    if computed:
        limits.append(f"libraries whose names Python code computes: {_shown(computed)}")
    if scripts:
        limits.append(f"libraries that scripts load which nothing imports: {_shown(scripts)}")
    return [one for file, findings in by_file.items() if file not in scripts for one in findings], limits


def _find_scripts(subject: Subject, files: Sequence[str]) -> list[str]:
    """Return those of *files* that are scripts of a package: they run as the main program, and nothing imports them.

    Other packages do not import them, so only the app and the package itself are searched for imports.
    """
    scripts = []
    for file in files:
        if file.startswith(_APP) or not _MAIN_PROGRAM.search(_read_source(subject, file)):
            continue
        package = _IN_PACKAGES.match(file)
        own = (package[0], _APP) if package else ""
        among = [one for one in subject.sources if one.startswith(own)]
        if "/" in file and not find_importers(subject, [module_of(file)], among=among)[module_of(file)]:
            scripts.append(file)
    return scripts


def _shown(places: Sequence[str]) -> str:
    return ", ".join(places[:_SHOWN]) + (f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else "")


def expect_loaded_before(findings: Iterable[Finding], subject: Subject, root: Object) -> Iterator[Finding]:
    """Yield *findings*, with a warning instead of an error for a library that Python code has perhaps loaded before.

    The loader knows a loaded library by its soname, so a file then needs no run path to it. That is expected of a
    library in the subject when a Python file loads it which is imported before the module *root*: one in a folder above
    it. It is also expected when *root* is no module: Python code opens such files by their paths, in an order of its
    own.
    """
    for finding in findings:
        library = finding.kind is Kind.missing_library and _find_soname(subject, finding.needs)
        opened = library and _is_opened_by_package(root, subject)
        source = _find_loader(subject, finding.file, library.name) if library and not opened else None
        if library and (opened or source):
            yield dataclasses.replace(
                finding,
                severity=Severity.warning,
                provides=f"{library.path}, if {source or 'Python code'} has loaded it before",
                remedy=load_before(subject),
            )
        else:
            yield finding


def split_global(
    missing: Mapping[Object, Sequence[Reference]], subject: Subject
) -> tuple[dict[Object, Sequence[Reference]], list[Finding]]:
    """Return the *missing* symbols without those that a library of the subject may give to all, and warnings for these.

    Python code can load a library so that its symbols are found for each file that is loaded later (RTLD_GLOBAL).
    """
    source = _find_global_loading(subject) if missing else None
    if source is None:
        return dict(missing), []
    left: dict[Object, Sequence[Reference]] = {}
    findings = []
    for item, references in missing.items():
        others = [one for one in subject.objects.values() if one is not item and one.symbols is not None]
        givers = [next((one for one in others if _gives(one, reference)), None) for reference in references]
        if None in givers:
            left[item] = references
            continue
        paths = dict.fromkeys(one.path for one in givers if one is not None)
        findings.append(
            Finding(
                kind=Kind.missing_symbol,
                severity=Severity.warning,
                file=item.path,
                needs=_shown(sorted({reference.name for reference in references})),
                provides=f"{_shown(list(paths))}, if {source} has loaded it with RTLD_GLOBAL before",
                remedy=load_before(subject),
            )
        )
    return left, findings


def _gives(item: Object, reference: Reference) -> bool:
    return item.symbols is not None and is_exported(reference, item.symbols.exports)


def _find_global_loading(subject: Subject) -> str | None:
    return next((path for path in subject.sources if _LOADS_GLOBALLY.search(_read_source(subject, path))), None)


def _is_opened_by_package(item: Object, subject: Subject) -> bool:
    """Return whether *item* is a library of a Python package, which the package's code opens by its path."""
    from_package = subject.wheel is not None or (subject.shape is Shape.bundle and not item.path.startswith(_APP))
    return from_package and item.folder not in subject.libraries and not is_module(item)


def _find_soname(subject: Subject, name: str) -> Object | None:
    items = (item for item in subject.objects.values() if not item.damage)
    return next((item for item in items if name == (item.facts.soname or item.name)), None)


def _find_loader(subject: Subject, module: str, library: str) -> str | None:
    """Return the Python file that loads the file *library* by its path and is imported before *module*, if any."""
    name = re.compile(rf"\b{re.escape(library.partition('.so')[0])}\b".encode())
    for path in subject.sources:
        folder, _, file = path.rpartition("/")
        is_above = module.startswith(f"{folder}/" if folder else "") and file == "__init__.py"
        if is_above or folder == module.rpartition("/")[0]:
            data = _read_source(subject, path)
            if _LOADS_FILE.search(data) and name.search(data):
                return path
    return None


def _check_find_library(subject: Subject, process: Process, where: str, name: str) -> Iterator[Finding]:
    if subject.shape is Shape.package:  # a Python that is not ours
        yield Finding(
            kind=Kind.missing_library,
            severity=Severity.warning,
            file=where,
            needs=f'ldconfig or a compiler, which find_library("{name}") runs',
            provides="neither: find_library returns None",
            remedy=f'name the file instead: ctypes.CDLL("lib{name}.so.N")',
        )
    elif not (process.has_library(name) or _OTHER_SYSTEMS.fullmatch(name) or _has_own_copy(subject, name)):
        yield _missing(
            subject, where, f"lib{name}.so", f'nothing of that name {process.name}: find_library("{name}") is None'
        )


def _has_own_copy(subject: Subject, name: str) -> bool:
    """Return whether a package has a library of that name itself, as soundfile. It opens that first."""
    own = re.compile(rf"lib{re.escape(name)}(?![A-Za-z0-9])")
    return any(own.match(item.name) for item in subject.objects.values())


def _missing(subject: Subject, where: str, needs: str, provides: str) -> Finding:
    return Finding(
        kind=Kind.missing_library,
        severity=Severity.warning,
        file=where,
        needs=needs,
        provides=provides,
        remedy=bring_opened_library(subject, needs),
    )


def _calls(subject: Subject) -> Iterator[_Call]:
    for path in subject.sources:
        data = _read_source(subject, path)
        if not _LOADS_LIBRARIES.search(data):
            continue
        text = data.decode("utf-8", "replace")
        if path.startswith(_APP) or (subject.shape != "bundle" and subject.wheel is None):
            yield from _parse_calls(path, text)
        else:
            yield from _search_calls(path, text)


def _read_source(subject: Subject, path: str) -> bytes:
    try:
        return subject.read(path, limit=MAX_SOURCE_BYTES)
    except (OSError, BadArchive):
        return b""


def _search_calls(path: str, text: str) -> Iterator[_Call]:
    if "import ctypes" not in text and "from ctypes" not in text and "dlopen" not in text:
        return
    for match in _CALL.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield _Call(path, line, match["function"], match["name"])


def _parse_calls(path: str, text: str) -> Iterator[_Call]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _name_of(node.value) in _TABLES:
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                yield _Call(path, node.lineno, "LoadLibrary", node.slice.value)
            continue
        if not isinstance(node, ast.Call):
            continue
        function = _name_of(node.func)
        if function not in _LOADERS:
            continue
        named = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        first = next(iter([*node.args, *named]), None)
        if first is None:
            continue
        if isinstance(first, ast.Constant):
            if isinstance(first.value, str):
                yield _Call(path, node.lineno, function, first.value)
        else:
            yield _Call(path, node.lineno, function, None)


def _name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
