"""Which files of a project's folder belong to its app: all but those that tools make, .gitignore or `exclude` name."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.files import is_left_out
from incamera.project.gitignore import Pattern, find_match, has_no_effect, parse_pattern, parse_patterns

GITIGNORE = ".gitignore"
EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that does not belong to the app, or a folder, whose *path* ends with `/`. Relative to the project.

    *pattern* says so, in the file *source*, or in the setting `exclude`.
    """

    path: str
    source: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Found:
    """The paths of the app's *files*, sorted, and what patterns left out. Relative to the project, with `/`."""

    files: list[str]
    left_out: list[LeftOut]


@dataclass(frozen=True, slots=True)
class _Patterns:
    """The patterns of one file. They apply to paths below *base*, with *prefix* in front of those."""

    source: str
    patterns: tuple[Pattern, ...]
    base: str = ""
    prefix: str = ""

    def find(self, path: str) -> Pattern | None:
        """Return the pattern that decides about *path*, None where none does."""
        return find_match(self.patterns, self.prefix + path[len(self.base) :])


@dataclass(frozen=True, slots=True, eq=False)
class _Folder:
    """What counts in a folder: pattern files from near to far, and what they have said of the paths in it."""

    marks: tuple[object, ...]
    files: tuple[_Patterns, ...] = ()
    verdicts: dict[str, LeftOut | None] = field(default_factory=dict)


class AppFiles:
    """Finds the app's files, again and again: patterns are only read when they have changed. For one thread.

    *exclude* are patterns in the syntax of .gitignore. They count more than those of the .gitignore files, which
    count with *gitignore*. The files *always* belong to the app.
    """

    def __init__(
        self, folder: Path, *, exclude: Sequence[str] = (), gitignore: bool = True, always: Collection[str] = ()
    ) -> None:
        self._folder = folder
        self._gitignore = gitignore
        self._always = frozenset(always)
        self._exclude = parse_patterns(exclude)
        # Then a file may belong to the app though its folder does not.
        self._brings_back = not all(pattern.ignores for pattern in self._exclude)
        self._folders: dict[str, _Folder] = {}
        self._above = _folders_above(folder) if gitignore else []

    def find(self) -> Found:
        """Return the app's files. Raises ConfigError for a .gitignore that cannot be read."""
        found = Found([], [])
        self._walk("", self._look_above(), None, found)
        named = {path for path in self._always.difference(found.files) if self._may_belong(path)}
        left_out = [item for item in found.left_out if item.path not in named]
        return Found(sorted([*found.files, *named]), sorted(left_out, key=lambda item: item.path))

    def concerns(self, path: str) -> bool:
        """Whether a change of *path* may change the app: it belongs to the app, or has patterns."""
        parts = path.split("/")
        if path == "." or any(map(is_left_out, parts[:-1])):
            return False
        if parts[-1] == GITIGNORE:
            return self._gitignore
        return not is_left_out(parts[-1]) and self.explain(path) is None

    def explain(self, path: str) -> LeftOut | None:
        """Return why *path* does not belong to the app, None if no pattern says that. Raises ConfigError."""
        if path in self._always:
            return None
        folder, outer, parts = self._look_above(), None, path.split("/")
        for number in range(len(parts)):
            prefix = "".join(f"{part}/" for part in parts[:number])
            if outer is None:
                folder = self._look(prefix, folder)
            is_last = number == len(parts) - 1
            here = prefix + parts[number]
            names = [f"{here}/"] if not is_last else _as_patterns_see(self._folder / here, here)
            # A path that has gone may have been a file or a folder.
            reasons = [self._check(name, folder, outer) for name in names]
            outer = next((reason for reason in reasons if reason is not None), None)
            if outer is not None and not self._brings_back:
                return outer
        return outer

    def is_excluded(self, path: str) -> bool:
        """Whether `exclude` leaves out *path*; that of a folder ends with `/`."""
        if path in self._always or (path.endswith("/") and self._brings_back):
            return False
        pattern = self._find_exclusion(path)
        return pattern is not None and pattern.ignores

    def _may_belong(self, path: str) -> bool:
        return (self._folder / path).is_file() and not any(map(is_left_out, path.split("/")))

    def _walk(self, prefix: str, folder: _Folder, outer: LeftOut | None, found: Found) -> None:
        try:
            entries = list(os.scandir(self._folder / prefix))
        except OSError:
            return
        if outer is None:
            folder = self._look(prefix, folder)
        for entry in entries:
            if is_left_out(entry.name) or entry.name.startswith("pylock."):
                continue
            try:
                is_folder = entry.is_dir()
                is_file = not is_folder and entry.is_file()
            except OSError:  # a link that leads to itself
                is_folder = is_file = False
            # Reading a pipe or a device may never end. A link that leads nowhere is a file: whoever reads it says so.
            if not is_folder and not is_file and Path(entry.path).exists():
                continue
            path = f"{prefix}{entry.name}/" if is_folder else prefix + entry.name
            reason = self._check(path, folder, outer)
            if not is_folder:
                if reason is None:
                    found.files.append(path)
                else:
                    found.left_out.append(reason)
            elif not entry.is_symlink():
                inside = Found([], [])
                if reason is None or self._brings_back:
                    self._walk(path, folder, reason, inside)
                found.files.extend(inside.files)
                found.left_out.extend(inside.left_out if reason is None or inside.files else [reason])

    def _check(self, path: str, folder: _Folder, outer: LeftOut | None) -> LeftOut | None:
        """Return why *path* is left out; *outer* is the reason why its folder is."""
        if (pattern := self._find_exclusion(path)) is not None:
            return LeftOut(path, EXCLUDE, pattern.text) if pattern.ignores else None
        if outer is not None:
            return LeftOut(path, outer.source, outer.pattern)
        if path not in folder.verdicts:
            decisions = ((found, file.source) for file in folder.files if (found := file.find(path)) is not None)
            found, source = next(decisions, (None, ""))
            ignored = found is not None and found.ignores
            folder.verdicts[path] = LeftOut(path, source, found.text) if found is not None and ignored else None
        return folder.verdicts[path]

    def _find_exclusion(self, path: str) -> Pattern | None:
        """Return the pattern of `exclude` that decides about *path*: the last that names it or a folder above it."""
        return next((pattern for pattern in self._exclude if pattern.covers(path)), None)

    def _look(self, prefix: str, outer: _Folder) -> _Folder:
        """Return what counts in the folder *prefix*, which is in *outer*."""
        if not self._gitignore:
            return outer
        path = self._folder / prefix / GITIGNORE
        marks = (outer, _mark(path))
        known = self._folders.get(prefix)
        if known is not None and known.marks == marks:
            return known
        patterns = parse_patterns(_read_lines(path)) if marks[1] else ()
        own = (_Patterns(prefix + GITIGNORE, patterns, base=prefix),) if patterns else ()
        self._folders[prefix] = made = _Folder(marks, (*own, *outer.files))
        return made

    def _look_above(self) -> _Folder:
        """Return what counts around the project: the patterns of the git repository that it lies in."""
        marks = tuple(_mark(folder / GITIGNORE) for folder in self._above)
        known = self._folders.get("..")
        if known is not None and known.marks == marks:
            return known
        files: tuple[_Patterns, ...] = ()
        for folder, mark in zip(self._above, marks, strict=True):
            # A project that is itself ignored has nothing to do with the repository around it.
            if _is_ignored(folder, files):
                files = ()
                break
            if mark and (patterns := parse_patterns(_read_lines(folder / GITIGNORE))):
                way = self._folder.relative_to(folder).as_posix()
                files = (_Patterns(str(folder / GITIGNORE), patterns, prefix=f"{way}/"), *files)
        self._folders[".."] = made = _Folder(marks, () if _is_ignored(self._folder, files) else files)
        return made


def _is_ignored(folder: Path, files: tuple[_Patterns, ...]) -> bool:
    """Whether *files* above it ignore *folder*, which is the project's or one that the project is in."""
    for file in files:
        way = f"{folder.relative_to(Path(file.source).parent).as_posix()}/"
        if (pattern := find_match(file.patterns, way)) is not None:
            return pattern.ignores
    return False


def check_patterns(patterns: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Return *patterns*. Raises ConfigError, with the key *where*, for one that is no pattern of a .gitignore."""
    for text in patterns:
        try:
            pattern = parse_pattern(text)
        except ValueError as error:
            hint = "write it as in a .gitignore: https://git-scm.com/docs/gitignore"
            raise ConfigError(f'{where}: "{text}" is not a pattern: {error}', hint=hint) from error
        if pattern is not None and not pattern.ignores and has_no_effect(pattern):
            raise ConfigError(
                f'{where}: "{text}" brings nothing back: files and folders of such names never belong to the app',
                hint="rename it: names that begin with a dot, and build, dist, venv and the like, are left out",
            )
    return patterns


def _read_lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable, or remove it") from error
    yield from (line.removesuffix("\r") for line in text.split("\n"))


def _mark(path: Path) -> tuple[int, ...] | None:
    """Return what changes with the content of the file *path*; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if path.is_file() else None


def _folders_above(folder: Path) -> list[Path]:
    """Return the folders from the top of the git repository to the one around *folder*; none outside of one."""
    if (folder / ".git").exists():
        return []
    above: list[Path] = []
    for parent in folder.parents:
        above.insert(0, parent)
        if (parent / ".git").exists():
            return above
    return []


def _as_patterns_see(path: Path, text: str) -> list[str]:
    if path.is_dir():
        return [f"{text}/"]
    return [text] if os.path.lexists(path) else [text, f"{text}/"]
