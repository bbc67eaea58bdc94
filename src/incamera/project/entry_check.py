"""Check that what is to be run exists, by reading files: nothing is imported, and nothing need be built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.errors import ConfigError
from incamera.names import did_you_mean

if TYPE_CHECKING:
    from incamera.project.entry import Entry
    from incamera.project.settings import Project


def checked_entry(project: Project) -> Entry:
    """Return what `incamera run` starts in *project*. Raises ConfigError when there is none, or it cannot start."""
    entry = project.require_entry()
    where = "-m" if project.chosen is not None else "tool.incamera.entry"
    if entry.file is not None and not (project.folder / entry.file).is_file():
        files = [path.name for path in project.folder.glob("*.py")]
        raise ConfigError(
            f'{where}: there is no file "{entry.file}"',
            hint=did_you_mean(entry.file, files) or 'name the file to run with entry = "…" in [tool.incamera]',
        )
    return entry
