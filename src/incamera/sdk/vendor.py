"""The vendor's SDK in an image: where its sysroot is, and the compiler's flags that its own script sets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from incamera.targets.architecture import Architecture

TOP = "opt/axis/acapsdk"
_SYSROOTS = "sysroots"
_SCRIPT = re.compile(r"environment-setup-[A-Za-z0-9_.-]+")
# How the folders of sysroots and the scripts are called begins so, in old and new images.
_NAMES = {
    Architecture.armv7hf: ("armv7hf", "cortexa9hf-neon", "armv7a"),
    Architecture.aarch64: ("aarch64", "cortexa53-crypto", "armv8a"),
}
# In bytes.
MAX_SCRIPT = 256 * 1024
# Of all values together: a variable that stands in another many times would take gigabytes.
_MAX_VALUES = 4 * MAX_SCRIPT
_MAX_FLAGS = 64
_LONGEST_FLAG = 200

_EXPORT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
# Flags that change the code, and name neither files nor folders nor programs. `-fplugin` would run one of the image.
_FLAG = re.compile(
    r"-m[a-z0-9-]+(?:=[A-Za-z0-9+._-]+)?|-[DU][A-Za-z_][A-Za-z0-9_]*(?:=[A-Za-z0-9_]*)?|-O[0-3sg]|"
    r"-f(?!plugin|profile|auto-profile|sanitize|dump|pre-include|save)[a-z0-9-]+(?:=[A-Za-z0-9_-]+)?|"
    r"-Wl,-(?:O[0-2]|z,[a-z-]+|-hash-style=[a-z]+|-as-needed|-(?:en|dis)able-new-dtags|-build-id(?:=[a-z0-9]+)?)"
)
# Programs that ask what the processor of this computer is.
_HOST_FLAGS = ("-march=native", "-mtune=native", "-mcpu=native")


def find_architecture(folder: str) -> Architecture | None:
    """Return the architecture whose sysroot has this name; None for another's, as that of the host's own programs."""
    return next((arch for arch, names in _NAMES.items() if folder.startswith(names)), None)


def is_wanted(path: str) -> bool:
    """Whether *path*, of an image, belongs to a camera's sysroot, or is a script with its flags."""
    parts = path.removeprefix(f"{TOP}/").split("/")
    if len(parts) == 1:
        return parts[0] == _SYSROOTS or is_script(parts[0])
    return parts[0] == _SYSROOTS and find_architecture(parts[1]) is not None


def is_script(name: str) -> bool:
    """Whether the file *name* below `TOP` sets the environment of a build."""
    return bool(_SCRIPT.fullmatch(name))


def read_flags(script: str) -> tuple[str, ...]:
    """Return the flags for the compiler in *script*, which is read and never run: those for code, without folders."""
    variables: dict[str, str] = {}
    left = _MAX_VALUES
    for line in script[:MAX_SCRIPT].splitlines():
        match = _EXPORT.fullmatch(line)
        if match is not None:
            variables[match[1]] = value = _expand(match[2], variables, left)
            left -= len(value)
    flags = dict.fromkeys(flag for name in ("CC", "CPPFLAGS", "CFLAGS", "LDFLAGS") for flag in _flags(variables, name))
    return tuple(flags)[:_MAX_FLAGS]


def _expand(value: str, variables: Mapping[str, str], limit: int) -> str:
    """Return what the shell would assign for *value*, as far as flags are concerned.

    Nothing if that is not clear, or has more than *limit* characters.
    """
    try:
        words = shlex.split(value, comments=True)
    except ValueError:
        return ""
    word = words[0] if words else ""
    parts, size, place = [], 0, 0
    for name in _VARIABLE.finditer(word):
        parts += [word[place : name.start()], variables.get(name[1] or name[2], "")]
        size += len(parts[-2]) + len(parts[-1])
        place = name.end()
        if size > limit:
            return ""
    expanded = "".join([*parts, word[place:]])
    return expanded if len(expanded) <= limit else ""


def _flags(variables: Mapping[str, str], name: str) -> Iterator[str]:
    for word in variables.get(name, "").split():
        if len(word) <= _LONGEST_FLAG and _FLAG.fullmatch(word) and word not in _HOST_FLAGS:
            yield word
