"""What reading a damaged or hostile archive raises, in one form."""

from __future__ import annotations

import errno
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from incamera.errors import BuildError

_BROKEN = (
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
_HINT = "the package index has it like this: report it to its publisher, and choose another version"


@contextmanager
def reading(filename: str) -> Iterator[None]:
    """Turn what the standard library raises over the archive *filename* into a BuildError that names it."""
    try:
        yield
    except _BROKEN as error:
        raise BuildError(f"{filename} is damaged: {error}", hint=_HINT) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # of the disk
            raise
        raise BuildError(f"{filename} is damaged: it names places that it has not", hint=_HINT) from error
