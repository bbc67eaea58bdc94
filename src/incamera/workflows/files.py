"""Copy, list, print and remove files of an app in the camera. Names that come from there are checked first."""

from __future__ import annotations

import fnmatch
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.deployment.data import data_root, find_data_place, work_root
from incamera.errors import DeviceError, DeviceUnsuitable, UsageError
from incamera.guard.transfer import RemoteFile, erase, is_safe_path, look, read, write
from incamera.transport.protocols import FileMissing
from incamera.units import escape_controls, format_bytes, format_count
from incamera.workflows.local_files import FileSink, FileSource, StreamSink, require_room

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from incamera.connect.connection import Connection
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.runtime.launcher.protocol import Found
    from incamera.transport.session import Session

# The name by which the data folder is addressed: `:data/night.csv`.
DATA = "data"
_REMOTE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)?:(.*)", re.DOTALL)
_MAGIC = re.compile(r"[*?\[]")
_PARTIAL = ".incamera-part-"


@dataclass(frozen=True, slots=True)
class Remote:
    """A path on a device as it was typed: `:data/night.csv`, `axiscam:data/night.csv`."""

    device: str | None
    path: str


def parse_remote(word: str) -> Remote | None:
    """Return what *word* names on a device; None for a path of this computer."""
    match = _REMOTE.fullmatch(word)
    return Remote(match[1], match[2]) if match else None


def split_path(path: str, *, device: str | None = None) -> list[str]:
    """Return the names in *path*, a path on any device: *device* is for messages. Raises UsageError for a wrong one."""
    if "\0" in path:
        raise UsageError("a path cannot have a NUL in it")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(f"{path} has `..` in it", hint="write the path without it")
    if not path.startswith("/") and parts[:1] != [DATA]:
        raise UsageError(
            f'{device or ""}:{path} is no path in a camera: it begins with "data/", the app\'s data, or with a slash',
            hint=f"type `{device or ''}:{'/'.join([DATA, *parts])}`",
        )
    return parts


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteEntry:
    """A file, folder or link on a device. *shown* is its path as the user would type it, behind the colon."""

    file: RemoteFile
    shown: str
    found: Found

    @property
    def is_folder(self) -> bool:
        return self.found.type == "d"

    @property
    def name(self) -> str:
        return self.shown.rstrip("/").rpartition("/")[2] or "root"


class Files:
    """The files of one app on one device. With *anywhere*, those of the whole device."""

    def __init__(self, connection: Connection, project: Project | None, *, anywhere: bool) -> None:
        self.session: Session = connection.session
        self.guard = connection.ensure_guard()
        self._device = str(connection.device)
        self._anywhere = anywhere
        self._roots: dict[str, str] = {}
        facts = self._facts = connection.facts
        if project is not None:
            place = find_data_place(facts, project.data, device=self._device)
            if place is not None:
                self._roots[DATA] = data_root(place, project.name)
            for place in facts.places:
                if place.folder:
                    bundles = f"{place.path}/{place.folder}/{project.name}"
                    for path in (data_root(place, project.name), work_root(place, project.name), bundles):
                        self._roots[path] = path

    def locate(self, path: str) -> tuple[str, RemoteFile]:
        """Return the path that is shown for *path*, and where it is. Raises UsageError for one outside of the app's."""
        parts = split_path(path)
        shown = "/".join(parts) if not path.startswith("/") else "/" + "/".join(parts)
        for start, root in self._roots.items():
            if shown == start or shown.startswith(f"{start}/"):
                return shown, RemoteFile(root, shown[len(start) + 1 :])
        if path.startswith("/") and self._anywhere:
            return shown, RemoteFile("/", "/".join(parts))
        raise UsageError(
            f"{path} is outside of the app's folders on {self._device}",
            hint="--anywhere allows that; `:data/…` is the app's data folder",
        )

    def require_room(self, sizes: Mapping[RemoteFile, int]) -> None:
        """Raises DeviceUnsuitable when the place of the files has no room for all of them. *sizes* are in bytes."""
        root, needed = next(iter(sizes)).root, sum(sizes.values())
        place = next((place for place in self._facts.places if root.startswith(f"{place.path}/")), None)
        if place is None or place.free is None:
            return
        free = min(place.free, self._facts.memory_available) if place.ram else place.free
        if needed <= free:
            return
        with suppress(FileMissing):  # what is there is replaced, and a part that an interrupted copy has left is used
            names = {file.path for file in sizes}
            for entry in look(self.session, self.guard, root, "", deep=True):
                if entry.path in names or entry.path.rpartition("/")[2].startswith(_PARTIAL):
                    needed -= entry.stored
        if needed > free:
            raise DeviceUnsuitable(
                f"{place.path} on {self._device} has room for {format_bytes(free)}; the copy needs "
                f"{format_bytes(needed)} there",
                hint="remove something there (`incamera rm`, `incamera device clean`), or copy to another place",
            )

    def look(self, path: str, *, deep: bool = False) -> list[RemoteEntry]:
        """Return *path* itself, and what is in it. The data folder that no run has made yet is empty."""
        shown, file = self.locate(path)
        try:
            found = look(self.session, self.guard, file.root, file.path, deep=deep)
        except FileMissing as error:
            if shown != DATA:
                raise FileMissing(f"there is no {shown} on {self._device}", hint=error.hint) from error
            raise FileMissing(
                f"the app has no data folder on {self._device} yet", hint="it gets one when it runs: `incamera run`"
            ) from error
        return [
            RemoteEntry(
                file=RemoteFile(file.root, _join(file.path, entry.path)), shown=_join(shown, entry.path), found=entry
            )
            for entry in found
            if not entry.path.rpartition("/")[2].startswith(_PARTIAL)
        ]

    def expand(self, path: str) -> list[RemoteEntry]:
        """Return what *path*, which may be a pattern, names. Raises FileMissing where that is nothing."""
        first = _MAGIC.search(path)
        if first is None:
            return self.look(path)[:1]
        fixed = path[: first.start()].rpartition("/")[0] or ("/" if path.startswith("/") else "")
        base, pattern = self.look(fixed, deep=path.count("/", first.start()) > 0), path
        wanted = [part for part in pattern.split("/") if part not in ("", ".")]
        matching = [entry for entry in base[1:] if _matches(entry.shown, wanted)]
        if not matching:
            raise FileMissing(f"nothing on {self._device} matches :{path}", hint="`incamera ls` shows what is there")
        return matching


def _matches(shown: str, wanted: Sequence[str]) -> bool:
    names = shown.strip("/").split("/")
    return len(names) == len(wanted) and all(
        fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
        for name, part in zip(names, wanted, strict=True)
    )


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder and name else folder or name


def list_files(files: Files, path: str, *, deep: bool) -> list[RemoteEntry]:
    """Return the file *path*, what is in the folder *path*, or what matches the pattern. Raises DeviceError."""
    if _MAGIC.search(path):
        return files.expand(path)
    entries = files.look(path, deep=deep)
    return entries[1:] if entries[0].is_folder else entries


def remove_files(files: Files, paths: Sequence[str], *, recursive: bool) -> list[RemoteEntry]:
    """Remove files and links, with *recursive* folders too. Returns what was removed. Raises UsageError."""
    entries = list({entry.shown: entry for path in paths for entry in files.expand(path)}.values())
    if not recursive and (folder := next((entry for entry in entries if entry.is_folder), None)):
        raise UsageError(f":{folder.shown} is a folder", hint="-r removes folders, too")
    for entry in entries:
        erase(files.session, files.guard, entry.file.root, entry.file.path)
    return entries


def print_files(files: Files, paths: Sequence[str], output: int) -> None:
    """Write the bytes of files of the device to the descriptor *output*. Raises DeviceError."""
    for path in paths:
        for entry in files.expand(path):
            if entry.is_folder:
                raise UsageError(f":{entry.shown} is a folder", hint="`incamera ls` lists it")
            read(files.session, files.guard, entry.file, StreamSink(output))


def copy_from(context: Context, files: Files, paths: Sequence[str], typed: str) -> int:
    """Copy files and folders of the device to *typed* on this computer. Returns how many files were copied.

    What ends with a slash is a folder, which is made where there is none.
    """
    entries = [entry for path in paths for entry in files.expand(path)]
    destination = Path(typed)
    if typed.endswith("/"):
        _make_folder(destination)
    into = destination.is_dir()
    if not into and len(entries) > 1:
        raise UsageError(f"{destination} is not a folder", hint=f"type `{destination}/`, which makes it")
    plan: list[tuple[RemoteEntry, Path]] = []
    for entry in entries:
        start = destination / _checked_name(entry.name) if into else destination
        below = [entry] if not entry.is_folder else files.look(entry.shown, deep=True)
        for inner in below:
            rest = inner.shown[len(entry.shown) :].strip("/") if inner is not entry else ""
            parts = [_checked_name(part) for part in rest.split("/")] if rest else []
            if inner.found.type in ("f", "d"):
                plan.append((inner, start.joinpath(*parts)))
            else:
                context.reporter.warn(f"left out :{inner.shown}: it is neither a file nor a folder")
    total = sum(entry.found.size for entry, _ in plan)
    count = sum(not entry.is_folder for entry, _ in plan)
    with context.reporter.step("copy") as step, step.progress(total) as advance:
        device = files.session.device.identity
        sinks = [
            FileSink(path, f"{device}:{entry.file.root}/{entry.file.path}", advance)
            for entry, path in plan
            if not entry.is_folder
        ]
        stored = sum(min(entry.found.stored, entry.found.size) for entry, _ in plan if not entry.is_folder)
        require_room(destination, stored - sum(sink.there for sink in sinks))
        waiting = iter(sinks)
        for entry, path in plan:
            if entry.is_folder:
                _make_folder(path)
            else:
                with next(waiting) as sink:
                    read(files.session, files.guard, entry.file, sink)
        step.note(format_count(count, "file"))
    return count


def copy_to(context: Context, files: Files, paths: Sequence[Path], destination: str) -> int:
    """Copy files and folders of this computer to *destination* on the device. Returns how many files were copied."""
    shown, _ = files.locate(destination)
    into = destination.endswith("/") or len(paths) > 1 or shown == DATA
    if not into:
        try:
            into = files.look(destination)[0].is_folder
        except FileMissing:
            into = False
    plan: list[tuple[Path, str]] = []
    for path in paths:
        start = _join(shown, path.resolve().name) if into else shown
        require_here([str(path)])
        plan += [(file, _join(start, rest)) for file, rest in _walk(context, path)]
    sources: list[tuple[FileSource, RemoteFile]] = []
    for path, target in plan:
        _, file = files.locate(target)
        if not is_safe_path(file.path) or not file.path:
            raise UsageError(f":{target} is a folder", hint="name a file in it")
        sources.append((FileSource(path), file))
    sizes = {file: source.size for source, file in sources}
    if sizes:
        files.require_room(sizes)
    with context.reporter.step("copy") as step, step.progress(sum(sizes.values())) as advance:
        for source, file in sources:
            source.advance = advance
            with source:
                write(files.session, files.guard, file, source)
        step.note(format_count(len(sources), "file"))
    return len(sources)


def require_here(words: Sequence[str]) -> None:
    """Raise UsageError unless each of *words* is the path of a file or folder of this computer."""
    for word in words:
        if not Path(word).exists():
            raise UsageError(f'there is no file "{word}" here', hint="correct the path")


def _walk(context: Context, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of *path* with their paths below it: an empty one for a file itself."""
    if not path.is_dir():
        yield path, ""
        return
    for parent, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(parent, name)
            if file.is_symlink() or not file.is_file():
                context.reporter.warn(f"left out {file}: it is no plain file")
            else:
                yield file, file.relative_to(path).as_posix()


def _checked_name(name: str) -> str:
    """Return *name*, which a device has sent. Raises DeviceError unless it can be the name of a file here."""
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if name in ("", ".", "..") or "/" in name or escape_controls(shown) != shown:
        raise DeviceError(f'the device has a file called "{escape_controls(name)}", which is not copied')
    return name


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {path}: {error.strerror}") from error
