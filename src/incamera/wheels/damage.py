"""One error for what reading a damaged or malicious archive raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from incamera.errors import BuildError

_HINT = "the file is damaged on the package index, too: report it to its publisher, and choose another version"


@contextmanager
def reading_archive(filename: str) -> Iterator[None]:
    """Raise a BuildError that names *filename* in place of a BadArchive, or another ValueError for its content."""
    try:
        yield
    except ValueError as error:
        raise BuildError(f"{filename} is damaged: {error}", hint=_HINT) from error
