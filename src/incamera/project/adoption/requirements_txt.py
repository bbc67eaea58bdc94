"""Read pip's requirements files: what of them pyproject.toml can say, and which lines it cannot."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from incamera.errors import ConfigError
from incamera.home import NoSuchUser, expand_home
from incamera.project.adoption.names import find_name
from incamera.project.git_source import GitSource, parse_git_address

_MAX_BYTES = 1_000_000
_MAX_FILES = 50
_INDEX = "package indexes come from pip's settings: PIP_INDEX_URL or PIP_EXTRA_INDEX_URL"
# Options that would change which packages are chosen, and why they are refused.
_REFUSED = {
    "-i": _INDEX,
    "--index-url": _INDEX,
    "--extra-index-url": _INDEX,
    "--no-index": _INDEX,
    "-f": 'name each wheel with its path: "./wheels/NAME-1.0-py3-none-any.whl"',
    "--find-links": 'name each wheel with its path: "./wheels/NAME-1.0-py3-none-any.whl"',
    "--pre": "name the version that you want: NAME==2.0rc1",
    "--global-option": "write a recipe for the package: see docs/reference/recipes.md",
    "--config-settings": "write a recipe for the package: see docs/reference/recipes.md",
    "--only-binary": 'choose a source with [tool.incamera.sources]: NAME = "wheel"',
    "--no-binary": 'choose a source with [tool.incamera.sources]: NAME = "sdist"',
}
# Options without effect here: incamera does so in any case, or they are about downloads.
_NO_EFFECT = ("--require-hashes", "--prefer-binary", "--trusted-host", "--use-feature")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")


@dataclass(slots=True)
class RequirementsFile:
    """What a requirements file asks for.

    *requirements* and *constraints* are as pyproject.toml has them; *sources* is [tool.uv.sources], for each package
    that is one of the user's own. *notes* say what is left out without harm, *refused* are lines, each with a reason.
    *files* are those that were read: the file, and those that it names, resolved.
    """

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    _hashes: int = 0
    _indexes: set[str] = field(default_factory=lambda: {"https://pypi.org/simple"})

    def add_note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def load_requirements(path: Path, folder: Path, environment: Mapping[str, str]) -> RequirementsFile:
    """Return what the requirements file *path* of the project in *folder* asks for, with all files that it names.

    An index that pip's variables in *environment* name is used in any case. Raises ConfigError for a file that
    cannot be read.
    """
    found = RequirementsFile()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        found._indexes |= {url.rstrip("/") for url in environment.get(name, "").split()}
    _read(found, path, folder, limits_only=False)
    found.requirements = list(dict.fromkeys(found.requirements))
    found.constraints = list(dict.fromkeys(found.constraints))
    if found._hashes:
        found.add_note(f"{path.name}: hashes are left out, because the lockfile has its own")
    return found


def _read(found: RequirementsFile, path: Path, folder: Path, *, limits_only: bool) -> None:
    path = path.resolve()
    if path in found.files:
        return
    found.files.add(path)
    if len(found.files) > _MAX_FILES:
        raise ConfigError(f"more than {_MAX_FILES} requirements files name each other", hint="remove some of them")
    for number, line in _lines(path):
        where = f"{_shown(path, folder)}:{number}"
        try:
            _read_line(found, line, path, folder, limits_only=limits_only)
        except _Refused as error:
            found.refused.append(f"{where}: {error}")
        except (OSError, NoSuchUser, ValueError):  # a name that no file can have, or ~ of an unknown user
            found.refused.append(f"{where}: this is neither a requirement nor a path")


class _Refused(Exception):
    """Why a line cannot be taken over."""


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line of the file, without comments; a continued line as one."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", hint="correct the path, or make it readable"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}", hint="save it as UTF-8") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES // 1000} kB", hint="split it, or leave it out")
    first, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            parts.append(line[:-1])
            continue
        whole = _COMMENT.sub("", "".join([*parts, line])).strip()
        if whole:
            yield first, whole
        first, parts = 0, []
    if whole := _COMMENT.sub("", "".join(parts)).strip():
        yield first, whole


def _read_line(found: RequirementsFile, line: str, path: Path, folder: Path, *, limits_only: bool) -> None:
    if _VARIABLE.search(line):
        raise _Refused("variables of the environment are not replaced; write the value")
    if line.startswith("-"):
        _read_option(found, line, path, folder, limits_only=limits_only)
        return
    words = _split(line)
    options = [word for word in words if word.startswith("--")]
    text = line[: line.index(options[0])].strip() if options else line
    for option in options:
        name = option.partition("=")[0]
        if name != "--hash":
            raise _Refused(f"{name}: {_REFUSED.get(name, 'the option is not known here')}")
        found._hashes += 1
    _add(found, text, path, folder, limits_only=limits_only)


def _read_option(found: RequirementsFile, line: str, path: Path, folder: Path, *, limits_only: bool) -> None:
    name, _, value = line.partition("=") if line.startswith("--") and "=" in line.split()[0] else line.partition(" ")
    value = value.strip().strip("\"'")
    if not name.startswith("--") and len(name) > 2:  # -rother.txt
        name, value = name[:2], f"{name[2:]} {value}".strip()
    if name in ("-r", "--requirement", "-c", "--constraint") and not (path.parent / value).is_file():
        raise _Refused(f"there is no file {value}")
    if name in ("-r", "--requirement"):
        _read(found, path.parent / value, folder, limits_only=limits_only)
    elif name in ("-c", "--constraint"):
        _read(found, path.parent / value, folder, limits_only=True)
    elif name in ("-e", "--editable"):
        if limits_only:
            raise _Refused("a constraint can only limit versions")
        _add(found, value, path, folder, limits_only=False)
    elif name in ("-i", "--index-url", "--extra-index-url") and value.rstrip("/") in found._indexes:
        return
    elif name in _NO_EFFECT:
        found.add_note(f"{path.name}: {name} is left out, because it has no effect here")
    else:  # without its value, which may have a password in it
        raise _Refused(f"{name}: {_REFUSED.get(name, 'the option is not known here')}")


def _add(found: RequirementsFile, text: str, path: Path, folder: Path, *, limits_only: bool) -> None:
    if text.startswith(("git+", "hg+", "svn+", "bzr+")):
        if limits_only:
            raise _Refused("a constraint can only limit versions")
        _add_repository(found, text, None)
        return
    if "://" in text and " @ " not in text and not text.startswith("file:"):
        raise _Refused("a URL of a file: download it, and name it with its path")
    if text.startswith(("file:", ".", "/", "~")) or ((path.parent / text.partition("[")[0]).exists() and "/" in text):
        _add_path(found, text, path, folder)
        return
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise _Refused(f'"{text}": {str(error).splitlines()[0]}') from None
    if requirement.url is None:
        (found.constraints if limits_only else found.requirements).append(text)
    elif limits_only:
        raise _Refused("a constraint can only limit versions")
    elif requirement.url.startswith("file:"):
        found.requirements.append(text)
    elif requirement.url.startswith(("git+", "hg+")):
        _add_repository(found, requirement.url, requirement)
    else:
        raise _Refused(f"{requirement.name} is a URL: download the file, and name it with its path")


def _add_repository(found: RequirementsFile, url: str, requirement: Requirement | None) -> None:
    """Add the package in the repository at *url*, at a full commit. *requirement* names it; else the URL has to."""
    if not url.startswith("git+"):
        raise _Refused("a repository of another tool than git: clone it, and name the folder with its path")
    try:
        address = parse_git_address(url)
    except ConfigError as error:
        raise _Refused(f"{error}: {error.hint}") from None
    name = requirement.name if requirement is not None else address.name
    if name is None or address.commit is None:
        lacks = "full commit" if name else "package"
        raise _Refused(
            f"{name or 'a package'} is in a git repository, and the line names no {lacks}: take it out, and type "
            "`incamera add` with its URL afterwards"
        )
    source = GitSource(url=address.url, commit=address.commit, subdirectory=address.subdirectory)
    found.sources[str(canonicalize_name(name))] = source.to_table()
    if requirement is not None:
        requirement.url = None
    found.requirements.append(name if requirement is None else str(requirement))


def _add_path(found: RequirementsFile, text: str, path: Path, folder: Path) -> None:
    """Add a wheel or folder of the user's own: `./lamp`, `./lamp[extra]`, `../wheels/lamp-1.0-py3-none-any.whl`."""
    where, _, rest = text.removeprefix("file://").removeprefix("file:").partition("[")
    extras = f"[{rest}" if rest else ""
    target = (path.parent / expand_home(where.strip())).resolve()
    if target == folder.resolve():
        found.add_note(f"{path.name}: the project itself needs no line")
        return
    if not target.exists():
        raise _Refused(f"there is no {where.strip()}")
    name = find_name(target)
    if target.suffix == ".whl":
        try:
            name = str(parse_wheel_filename(target.name)[0])
        except InvalidWheelFilename as error:
            raise _Refused(str(error)) from None
    if name is None:
        raise _Refused(f'the name of the package in {where.strip()} is not known: write "NAME @ file://{target}"')
    found.requirements.append(f"{name}{extras}")
    found.sources[str(canonicalize_name(name))] = {"path": _shown(target, folder, always=True)}


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _shown(path: Path, folder: Path, *, always: bool = False) -> str:
    import os  # lazy: start-up

    relative = Path(os.path.relpath(path, folder.resolve())).as_posix()
    return relative if always or not relative.startswith("../../..") else str(path)
