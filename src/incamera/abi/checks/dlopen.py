"""Check of the libraries that Python code loads by name, as far as the name is a literal."""

from __future__ import annotations

import dataclasses
import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.abi.checks.imports import find_importers, module_of
from incamera.abi.checks.library_calls import LibraryCall, find_library_calls, may_open_libraries
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

_LOADS_GLOBALLY = re.compile(rb"\bRTLD_GLOBAL\b|\bsetdlopenflags\b")
_LOADS_FILE = re.compile(rb"(?:CDLL|PyDLL|LoadLibrary|dlopen)\s*\(")
_IN_PACKAGES = re.compile(r".+-packages/[^/]+/")
_MAIN_PROGRAM = re.compile(rb"""^if __name__ == ["']__main__["']:""", re.MULTILINE)
_SONAME = re.compile(r"[^/]+\.so(?:\.\d+)*")
_SYSTEM_PATH = re.compile(r"/(?:usr/)?lib\d*/(?:[^/]+-linux-gnu\w*/)?[^/]+\.so(?:\.\d+)*")
# cffi's dlopen gives names without .so to find_library.
_SEARCHED = re.compile(r"(?!.*\.(?:dll|dylib|exe|pyd)\b)[^/\\]+")
# Names that portable packages look for on other systems, and the frameworks of macOS.
_OTHER_SYSTEMS = re.compile(
    r"objc|msvcrt\w*|kernel32|user32|gdi32|advapi32|shell32|ole32|oleaut32|winmm|ws2_32|ntdll|opengl32|libc|cyg.*"
    r"|Accelerate|AppKit|Application\w+|Audio\w+|AV\w+|Carbon|Cocoa|Core\w+|DiskArbitration|Foundation|Hypervisor"
    r"|ImageIO|IOBluetooth|IOKit|IOSurface|Metal\w*|Network|OpenDirectory|OpenGL|Quartz\w*|Security|System\w*|Vision"
)
_APP = "app/"
_SHOWN = 5


def find_loaded_by_name(subject: Subject, process: Process) -> tuple[list[Finding], list[str]]:
    """Return findings for libraries that are missing, and the limits of the check.

    Limits are names that the code computes, libraries that it does without, and those that only scripts load.
    """
    by_file: dict[str, list[Finding]] = {}
    computed: list[str] = []
    optional: list[str] = []
    for calls in _choices(subject):
        computed += [f"{call.file}:{call.line}" for call in calls if call.name is None]
        named = [call for call in calls if call.name is not None and _is_for_linux(call)]
        missing = [call for call in named if not _is_found(subject, process, call)]
        if not missing or len(missing) < len(named) or _may_be_own(subject, calls):
            continue
        if all(call.goes_on for call in calls):
            optional.append(f"{_wanted(missing[0])} ({missing[0].file}:{missing[0].line})")
        else:
            by_file.setdefault(missing[0].file, []).append(_missing(subject, process, missing))
    scripts = _find_scripts(subject, list(by_file))
    limits = []
    if computed:
        limits.append(f"libraries whose names Python code computes: {_shown(list(dict.fromkeys(computed)))}")
    if optional:
        limits.append(f"libraries that Python code tries to load, and does without: {_shown(optional)}")
    if scripts:
        limits.append(f"libraries that scripts load which nothing imports: {_shown(scripts)}")
    return [one for file, findings in by_file.items() if file not in scripts for one in findings], limits


def _choices(subject: Subject) -> Iterator[list[LibraryCall]]:
    """Yield the calls that open or search libraries; those that are alternatives together."""
    for path in subject.sources:
        source = _read_source(subject, path)
        if may_open_libraries(source):
            calls = sorted(find_library_calls(path, source), key=lambda call: (call.choice, call.line))
            for _, choice in itertools.groupby(calls, key=lambda call: call.choice):
                yield list(choice)


def _is_for_linux(call: LibraryCall) -> bool:
    """Return whether *call* can find a library on Linux: by a file name, or by a name that is searched."""
    name = str(call.name)
    if call.function == "find_library" or (call.function == "dlopen" and ".so" not in name):
        return bool(_SEARCHED.fullmatch(name)) and not _OTHER_SYSTEMS.fullmatch(name)
    return bool(_SONAME.fullmatch(name) or _SYSTEM_PATH.fullmatch(name))


def _is_found(subject: Subject, process: Process, call: LibraryCall) -> bool:
    name = str(call.name)
    if call.function == "find_library" and subject.shape is Shape.package:
        return False  # a Python that is not ours
    if name.startswith("/"):
        return process.policy.find_file(posixpath.basename(name)) is not None and _is_searched(process, name)
    if _SONAME.fullmatch(name) and call.function != "find_library":
        return process.search(name, ())[0] is not None
    return process.has_library(name) or _has_own_copy(subject, name)


def _is_searched(process: Process, path: str) -> bool:
    """Return whether the camera's loader searches the folder of *path*. /lib is a link to /usr/lib in many systems."""
    folders = {folder.removeprefix("/usr") for folder in process.policy.folders}
    return posixpath.dirname(path).removeprefix("/usr") in folders


def _may_be_own(subject: Subject, calls: Sequence[LibraryCall]) -> bool:
    """Return whether the code may open a library of the subject by a path that it computes, instead of the system's."""
    names = [call.name.partition(".so")[0].removeprefix("lib") for call in calls if call.name is not None]
    return len(names) < len(calls) and any(_has_own_copy(subject, name) for name in names)


def _wanted(call: LibraryCall) -> str:
    """Return the file that *call* needs."""
    name = str(call.name)
    return name if name.startswith("/") or ".so" in name else f"lib{name}.so"


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


def _has_own_copy(subject: Subject, name: str) -> bool:
    """Return whether a package has a library of that name itself, as soundfile. It opens that first."""
    own = re.compile(rf"lib{re.escape(name)}(?![A-Za-z0-9])")
    return any(own.match(item.name) for item in subject.objects.values())


def _missing(subject: Subject, process: Process, calls: Sequence[LibraryCall]) -> Finding:
    """Return a warning about *calls*, alternatives of which none finds its library."""
    call = calls[0]
    name, needs = str(call.name), _wanted(call)
    others = [other for other in dict.fromkeys(map(_wanted, calls)) if other != needs]
    provides = f"nothing of that name {process.name}" + (f", nor {_shown(others)}" if others else "")
    remedy = bring_opened_library(subject, needs)
    bare = name.removeprefix("lib").partition(".so")[0]
    if call.function == "find_library":
        provides += f': find_library("{name}") is None'
        if subject.shape is Shape.package:
            needs = f'ldconfig or a compiler, which find_library("{name}") runs'
            provides = "neither: find_library returns None"
            remedy = f'name the file instead: ctypes.CDLL("lib{bare}.so.N")'
        elif bare != name and process.has_library(bare):
            remedy = f'leave out "lib" and ".so": find_library("{bare}")'
    elif name.startswith("/"):
        provides = "no such file in the camera"
        if process.search(posixpath.basename(name), ())[0] is not None:
            remedy = f'leave out the folder: the loader finds "{posixpath.basename(name)}"'
    return Finding(
        kind=Kind.missing_library,
        severity=Severity.warning,
        file=f"{call.file}:{call.line}",
        needs=needs,
        provides=provides,
        remedy=remedy,
    )


def _read_source(subject: Subject, path: str) -> bytes:
    try:
        return subject.read(path, limit=MAX_SOURCE_BYTES)
    except (OSError, BadArchive):
        return b""
