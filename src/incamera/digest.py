"""The sha256 of a file, as a type of its own.

A digest comes from indexes, lockfiles and mirrors, and names files in the store. So it is checked once, where it is
parsed, and what works with it takes only this type.
"""

from __future__ import annotations

import hashlib
import re
from io import BufferedReader
from typing import Self

_is_digest = re.compile("[0-9a-f]{64}").fullmatch
_SHOWN = 80


class Sha256(str):
    """64 lower-case hexadecimal digits. `Sha256(text)` raises ValueError for anything else."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        # Pages of package indexes have a hundred thousand of them.
        if type(text) is str and _is_digest(text):
            return str.__new__(cls, text)
        if isinstance(text, cls):
            return text
        if not isinstance(text, str) or _is_digest(text) is None:
            raise ValueError(f"{ascii(text)[:_SHOWN]} is not a sha256, which has 64 hexadecimal digits")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the digest of *data*."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_stream(cls, stream: BufferedReader) -> Self:
        """Return the digest of what is left in the file *stream*."""
        return cls(hashlib.file_digest(stream, "sha256").hexdigest())
