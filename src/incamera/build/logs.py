"""Where the output of builds is kept, and how a message says so."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from incamera.errors import BuildError, ToolFailed

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.targets.target import Target


def log_path(context: Context, name: str, target: Target, key: str) -> Path:
    """Return the path of the log of builds of *name*, in a folder that exists. *key* tells those of one name apart."""
    folder = context.store.root / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name}-{target}-{key[:8]}.log"


def project_log_path(context: Context, project: Project, target: Target) -> Path:
    """Return the path of the log of builds of *project* itself."""
    key = hashlib.sha256(os.fsencode(project.folder)).hexdigest()
    return log_path(context, project.name, target, key)


@contextmanager
def naming_log(log: Path) -> Iterator[None]:
    """Name *log* in the hint of an error that a build raises, if the build has come so far as to write it."""
    log.unlink(missing_ok=True)
    try:
        yield
    except BuildError as error:
        if not log.exists():
            raise
        hint = f"{log} has the whole output" + (f"; {error.hint}" if error.hint else "")
        if isinstance(error, ToolFailed):
            raise ToolFailed(str(error), hint=hint, tail=error.tail) from error
        raise type(error)(str(error), hint=hint) from error
