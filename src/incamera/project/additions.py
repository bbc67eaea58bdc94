"""What `incamera add` is given: a requirement, or a wheel or folder of the user's own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from incamera.errors import UsageError
from incamera.home import NoSuchUser, expand_home
from incamera.project.adoption.names import find_name
from incamera.project.git_source import GitAddress, GitSource, parse_git_address
from incamera.project.import_names import distribution_of, is_standard_library
from incamera.project.local import parse_file_url, relative_path

_URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*://")
# How other tools write a version: `numpy=1.26` (conda), `numpy@1.26` (Poetry).
_ONE_EQUALS_SIGN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=([0-9][A-Za-z0-9.]*)")
# What a build reads.
_OF_A_PACKAGE = ("pyproject.toml", "setup.py")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """A *requirement* without a URL, and the *source* that [tool.uv.sources] gives for it, if it needs one."""

    requirement: Requirement
    source: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """The normalized name."""
        return canonicalize_name(self.requirement.name)

    @property
    def is_bare(self) -> bool:
        """Whether it has no version, so that one may be written for it."""
        return not self.requirement.specifier and self.source is None


@dataclass(frozen=True, kw_only=True, slots=True)
class GitAddition:
    """A package in a git repository, whose commit is not known yet. *requirement* is None where its name is not."""

    address: GitAddress
    requirement: Requirement | None

    def at(self, source: GitSource, folder: Path) -> Addition:
        """Return the addition of the package in *folder*, which has what *source* names. Raises UsageError."""
        name = find_name(folder)
        requirement = self.requirement
        if requirement is None:
            if name is None:
                raise UsageError(
                    f"{source} does not say what its package is called",
                    hint='type the name, too: `incamera add "NAME @ git+URL"`',
                )
            requirement = Requirement(name)
        return Addition(requirement=requirement, source=source.to_table())


def parse_addition(text: str, project: Path, working: Path) -> Addition | GitAddition:
    """Return what *text*, typed in the folder *working*, adds to the project in the folder *project*.

    Raises ConfigError, UsageError.
    """
    if text.startswith("git+"):
        address = parse_git_address(text)
        return GitAddition(address=address, requirement=Requirement(address.name) if address.name else None)
    if _URL.match(text):
        raise UsageError(
            f'"{text}" is a URL',
            hint="download the wheel and type `incamera add ./FILE.whl`; a git repository is `git+URL@COMMIT`",
        )
    try:
        if _is_path(text, working):
            return _local(text, project, working)
        if "." in text and (working / text).is_file():
            raise UsageError(
                f"{text} is a file, and neither a wheel nor a package",
                hint="type the names of packages, as in `incamera add numpy requests`",
            )
    except (OSError, NoSuchUser) as error:  # a name that no file can have, or ~ of an unknown user
        raise UsageError(f'"{text}" is not a path: {error}', hint="type the path of a folder or a wheel") from error
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        match = _ONE_EQUALS_SIGN.fullmatch(text)
        raise UsageError(
            f'"{text}" is not a requirement',
            hint=f"type `'{match[1]}=={match[2]}'` for that version"
            if match
            else "type a name, `'numpy>=1.24,<2'`, `./FOLDER`, `./FILE.whl`, or `git+URL@COMMIT`",
        ) from error
    if requirement.url is not None and _VERSION.fullmatch(requirement.url):
        version = requirement.url
        raise UsageError(
            f'"{text}" is not a requirement', hint=f"type `'{requirement.name}=={version}'` for that version"
        )
    if requirement.url is not None and requirement.url.startswith("git+"):
        address = parse_git_address(requirement.url)
        requirement.url = None
        return GitAddition(address=address, requirement=requirement)
    if requirement.url is not None:
        path = parse_file_url(requirement.url, project, f'"{text}"')
        return _with_path(requirement, path, project)
    if not requirement.specifier:
        _refuse_module(requirement.name)
    return Addition(requirement=requirement)


def _refuse_module(name: str) -> None:
    """Raises UsageError for the name of a module whose package is called otherwise, or that Python has."""
    if is_standard_library(name):
        raise UsageError(f"{name} is in Python's standard library", hint="import it: there is nothing to add")
    other = distribution_of(name)
    if other is not None and other != canonicalize_name(name):
        raise UsageError(f"{name} is a module of the package {other}", hint=f"type `incamera add {other}`")


def _is_path(text: str, working: Path) -> bool:
    if text.startswith((".", "/", "~", "file:")):
        return True
    return text.endswith(".whl") or (
        os.sep in text and " @ " not in text and (working / _without_extras(text)).exists()
    )


def _without_extras(text: str) -> str:
    return text.partition("[")[0] if text.endswith("]") else text


def _local(text: str, project: Path, working: Path) -> Addition:
    where = _without_extras(text)
    extras = text[len(where) :]
    path = (
        parse_file_url(where, project, f'"{text}"')
        if where.startswith("file:")
        else Path(os.path.normpath(working / expand_home(where)))
    )
    if not path.exists():
        raise UsageError(f"there is no {path}", hint="correct the path: a folder or a wheel can be added")
    if path.is_dir():
        name = find_name(path)
        if name is None and not any((path / file).is_file() for file in _OF_A_PACKAGE):
            raise UsageError(
                f"{path} has no package in it: it has neither pyproject.toml nor setup.py",
                hint="name the folder of a project, or a wheel",
            )
        if name is None:
            raise UsageError(
                f"{path} does not say what its package is called", hint=f'type `incamera add "NAME @ file://{path}"`'
            )
    else:
        try:
            name = str(parse_wheel_filename(path.name)[0])
        except InvalidWheelFilename as error:
            what = "is not the name of a wheel" if path.suffix == ".whl" else "is neither a folder nor a wheel"
            hint = "a folder or a wheel can be added; unpack an archive first"
            raise UsageError(f"{path} {what}", hint=hint) from error
    return _with_path(Requirement(f"{name}{extras}"), path, project)


def _with_path(requirement: Requirement, path: Path, project: Path) -> Addition:
    if path == project:
        raise UsageError(f"{path} is the project itself", hint="name another folder")
    requirement.url = None
    return Addition(requirement=requirement, source={"path": relative_path(path, project)})
