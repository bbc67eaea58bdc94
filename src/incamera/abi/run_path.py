"""The folders that a run path names: the entries of RPATH and RUNPATH, and paths in DT_NEEDED, with their tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from incamera.targets.architecture import Architecture

if TYPE_CHECKING:
    from incamera.abi.policy import Policy
    from incamera.abi.subject import Subject

# As glibc reads them: without braces, a token ends where a name would end.
_TOKEN = re.compile(r"\$(?:\{(?P<inner>ORIGIN|LIB|PLATFORM)\}|(?P<bare>ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")
# What the kernel calls the processor (AT_PLATFORM).
_PLATFORMS = {Architecture.armv7hf: "v7l", Architecture.aarch64: "aarch64"}
_UNKNOWN = "\0"


def resolve_run_path(entry: str, origin: str | None, subject: Subject, policy: Policy) -> tuple[str, ...]:
    """Return the folders that an *entry* of a run path names: relative in the subject, absolute in the camera.

    *origin* is the folder of the file whose run path it is; None for a file of the camera. Returns () for a folder
    that is neither in the subject nor searched in the camera, and several where it depends on the loader ($LIB).
    """
    first = _TOKEN.match(entry)
    from_origin = first is not None and _name(first) == "ORIGIN"
    rest = entry[first.end() :] if first is not None and from_origin else entry
    found: list[str] = []
    for library_folder in _library_folders(policy) if depends_on_loader(entry) else ("",):
        values = {"ORIGIN": _UNKNOWN, "LIB": library_folder, "PLATFORM": _PLATFORMS[policy.architecture]}
        text = _TOKEN.sub(lambda match, values=values: values[_name(match)], rest)  # type: ignore[misc]
        folder = _beside(origin, text, subject) if from_origin else _absolute(text, subject)
        if folder is not None and (not folder.startswith("/") or folder in policy.folders):
            found.append(folder)
    return tuple(dict.fromkeys(found))


def depends_on_loader(entry: str) -> bool:
    """Return whether *entry* has $LIB: each loader has its own value for it, which no file tells."""
    return any(_name(match) == "LIB" for match in _TOKEN.finditer(entry))


def _library_folders(policy: Policy) -> tuple[str, ...]:
    """Return the values that $LIB may have: in firmware, in Debian."""
    facts = policy.architecture.facts
    return ("lib", f"lib{facts.bits}", f"lib/{facts.gnu}") if facts.bits == 64 else ("lib", f"lib/{facts.gnu}")


def _name(match: re.Match[str]) -> str:
    return match["inner"] or match["bare"]


def _beside(origin: str | None, text: str, subject: Subject) -> str | None:
    """Return the folder $ORIGIN*text*. What follows need not begin with a slash: `$ORIGIN.libs`."""
    if origin is None or _UNKNOWN in text or (text and not text.startswith("/") and not origin):
        return None
    path = f"{origin}{text}".lstrip("/")
    real = subject.resolve(path)
    # The kernel follows links before it goes up, so the path itself is kept where it stays inside.
    return path if real is not None and not real.startswith("/") else real


def _absolute(text: str, subject: Subject) -> str | None:
    return subject.locate(text) if text.startswith("/") and _UNKNOWN not in text else None
