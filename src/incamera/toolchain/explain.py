"""Picks the useful lines out of a failed build's output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_COMPILER_LINES = re.compile(
    r"(:\d+: )?(fatal )?error(\[E\d+\])?: |undefined reference|undefined symbol|: cannot find "
    r"|unable to find .{0,200}lib|incamera: |:\d+:\d+: ERROR: |CMake Error",
    re.IGNORECASE,
)
# Lines that report a failed command, but not the reason.
_NOT_A_REASON = ("error: command", "error: subprocess", "error: metadata-generation", "error: legacy-install")
_SHOWN_LINES = 12
_LAST_LINES = 16
_SHOWN_NOTES = 2


def explain_output(lines: Sequence[str], dropped: Iterable[str]) -> str:
    """Return the compilers' errors in *lines*, or else the last lines; then a note for each *dropped* option."""
    errors = [number for number, line in enumerate(lines) if _COMPILER_LINES.search(line)]
    errors = [number for number in errors if not lines[number].lower().startswith(_NOT_A_REASON)]
    # Compilers print the source line and a marker below their message.
    shown = sorted({near for number in errors for near in range(number, min(number + 3, len(lines)))})
    # Without repetitions, as of tools that try several times.
    found = (lines[number] for number in shown if not lines[number].lower().startswith(_NOT_A_REASON))
    chosen = list(dict.fromkeys(found))[:_SHOWN_LINES] or list(lines[-_LAST_LINES:])
    left_out = list(dict.fromkeys(dropped))
    notes = [f"note: left out {what}: a folder or an option of this computer" for what in left_out[:_SHOWN_NOTES]]
    if len(left_out) > _SHOWN_NOTES:
        notes[-1] += f"; and {len(left_out) - _SHOWN_NOTES} more"
    return "\n".join([*chosen, *notes])


def explain_limited(lines: Sequence[str]) -> str:
    """Return the last of *lines*, the output of a build that reached a limit, without the tracebacks of its end."""
    end = next((number for number, line in enumerate(lines) if line.startswith("Traceback (")), len(lines))
    return "\n".join(lines[max(0, end - _SHOWN_LINES) : end])


def explain_import_error(traceback: str, hooks: str) -> str:
    """Return the last line of *traceback*, then the place in the code that was imported, if the import came so far.

    *hooks* is the name of the file that imports the back end.
    """
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith('File "')]
    own = [
        place
        for place in places
        if not re.match(rf'File "(<frozen |.*importlib/__init__|.*{re.escape(hooks)}")', place)
    ]
    return "\n  | ".join([*lines[-1:], *own[-1:]])


# What a build's output says about what it lacks, and what to do: in an sdist, or in the project itself.
_HINTS = (
    (
        re.compile(r"No such file or directory: '/include"),
        "builds have the headers of what they require in /include only where they can be isolated: "
        "docs/explanation/isolation.md says what to do. The compiler finds these headers without it",
    ),
    (
        re.compile(
            r"setuptools[-_.]scm was unable to detect version|unable to detect version for|not a git repository"
            r"|access to an upstream git repo|Cannot find the version from SCM|Unable to detect version"
            r"|isn't an? \w+ repository|does not appear to be an? \w+ project",
            re.IGNORECASE,
        ),
        "its version comes from git, and builds get no .git folder: set SETUPTOOLS_SCM_PRETEND_VERSION=1.2.3, or "
        "PBR_VERSION or what its tool calls it, which is passed on to the build of your project",
    ),
    (
        re.compile(
            r"gfortran|\bfortran'? compiler|No (?:module named )?.?numpy\.distutils\.fcompiler|\bflang\b"
            r"|CMAKE_Fortran_COMPILER|Unknown compiler\(s\):.{0,200}fortran",
            re.IGNORECASE,
        ),
        "cross builds have no Fortran compiler, so a project cannot have Fortran sources. A package may come from "
        'Debian ([tool.incamera.sources] NAME = "deb"), or be built under emulation with a recipe that has '
        'builder = "emulated", dev = ["gfortran"] and debs = ["libgfortran5"]',
    ),
)


def find_hint(output: str) -> str | None:
    """Return what to do about a failed build, from its *output*; None where that does not tell."""
    return next((hint for pattern, hint in _HINTS if pattern.search(output)), None)
