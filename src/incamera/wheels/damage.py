"""One error for all that reading a damaged or malicious archive raises."""

from __future__ import annotations

import errno
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from incamera.errors import BuildError

_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    struct.error,
    zlib.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_HINT = "the file is damaged on the package index, too: report it to its publisher, and choose another version"


@contextmanager
def reading_archive(filename: str) -> Iterator[None]:
    """Raise a BuildError that names *filename* in place of the standard library's errors for a damaged archive."""
    try:
        yield
    except _DAMAGED as error:
        raise BuildError(f"{filename} is damaged: {error}", hint=_HINT) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # an error of the disk, not of the archive
            raise
        raise BuildError(f"{filename} is damaged: it refers to bytes beyond its end", hint=_HINT) from error
