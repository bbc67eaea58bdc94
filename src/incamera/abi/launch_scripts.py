"""What the shell scripts of a package say about its programs: where libraries are searched, and by which loader.

A script is not run. Where it computes a folder (`$(dirname $0)/lib`), each folder of the package that ends so counts.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.archives import BadArchive

if TYPE_CHECKING:
    from incamera.abi.subject import Subject

MAX_SCRIPT_BYTES = 200_000
# No pattern may take longer than in proportion to the text: the scripts are anybody's.
_ASSIGNMENT = re.compile(r"^[ \t]*+(?:(?:export|readonly|local)[ \t]++)*+(\w++)=(.*)$", re.MULTILINE)
_SEARCHED = re.compile(r"(?:\bLD_LIBRARY_PATH=|--library-path[ =]\s*)(.*)")
_LOADER = re.compile(r"\bld-linux[\w.-]*\.so\.\d")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:[:?+%#/=-][^}]{0,200})?\}|(\w+))")
_COMMAND = re.compile(r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)|`[^`]*`")
_COMPUTED = "\0"
_ROUNDS = 4  # of variables that name other variables
# A list of folders is not longer, and no script has more of them.
_LONGEST_VALUE, _MOST_VALUES = 4000, 200


@dataclass(frozen=True, slots=True)
class LaunchScripts:
    """*folders*: those in which the scripts let libraries be searched, in the package. *own_loader*: they start one."""

    folders: tuple[str, ...] = ()
    own_loader: bool = False


NO_SCRIPTS = LaunchScripts()


def read_launch_scripts(subject: Subject) -> LaunchScripts:
    """Return what the shell scripts of *subject* say."""
    folders: dict[str, None] = {}
    own_loader = False
    for path in subject.scripts:
        try:
            text = subject.read(path, limit=MAX_SCRIPT_BYTES).decode("utf-8", "replace")
        except (OSError, BadArchive):
            continue
        text = text.replace("\\\n", " ")
        own_loader = own_loader or _LOADER.search(text) is not None
        if _SEARCHED.search(text):
            folders |= dict.fromkeys(_find_folders(text, posixpath.dirname(path), subject))
    return LaunchScripts(tuple(folders), own_loader)


def _find_folders(text: str, own: str, subject: Subject) -> Iterator[str]:
    """Yield the folders of *subject* that the script *text*, which lies in the folder *own*, names."""
    known = _folders_of(subject)
    variables = {match[1]: match[2] for match in _ASSIGNMENT.finditer(text)}
    for match in itertools.islice(_SEARCHED.finditer(text), _MOST_VALUES):
        for entry in _expand(match[1], variables).split(":"):
            if entry.startswith("/"):
                inside = subject.locate(entry)
                if not inside.startswith("/"):
                    yield inside
            elif _COMPUTED in entry:
                ending = posixpath.normpath(entry.rpartition(_COMPUTED)[2].lstrip("/"))
                if ending == ".":
                    yield own
                yield from [one for one in known if one == ending or one.endswith(f"/{ending}")]
            elif entry:
                yield from {posixpath.normpath(entry).removeprefix("."), posixpath.normpath(posixpath.join(own, entry))}


def _folders_of(subject: Subject) -> list[str]:
    """Return the folders that have libraries, by files or by links, and the links that may lead to such a folder."""
    files = [*subject.objects, *subject.links]
    return sorted({posixpath.dirname(path) for path in files} | set(subject.links))


def _expand(value: str, variables: Mapping[str, str]) -> str:
    """Return the first word of *value* with the *variables*; what a command computes is `_COMPUTED`."""
    for _ in range(_ROUNDS):
        value = _COMMAND.sub(_COMPUTED, value[:_LONGEST_VALUE])
        value = _VARIABLE.sub(lambda match: _value_of(match[1] or match[2], variables), value)
    value = value.replace('"', "").replace("'", "")
    return re.split(r"[\s;&|]", value, maxsplit=1)[0]


def _value_of(name: str, variables: Mapping[str, str]) -> str:
    if name == "LD_LIBRARY_PATH":
        return ""  # what the camera has set
    return _COMMAND.sub(_COMPUTED, variables[name][:_LONGEST_VALUE]).strip() if name in variables else _COMPUTED
