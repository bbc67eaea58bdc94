"""Compare a signed package with the one that was built: signing only appends a signature, and changes no byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.archives import Signature, find_signature, open_regular

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20
# No signature is longer, with what stands around it.
_MOST_TRAILER_BYTES = 64 * 1024


class NotSigned(ValueError):
    """The file is not the built package with a signature behind it. The message says why."""


def check_signed(signed: Path, built: Path) -> Signature:
    """Return the signature that *signed* has behind the bytes of the package *built*.

    Nothing is verified: only a camera has the key. Raises NotSigned, OSError, or BadArchive for what is no file.
    """
    with open_regular(signed) as stream, open_regular(built) as original:
        place = 0
        while data := original.read(_CHUNK):
            found = stream.read(len(data))
            if found != data:
                if data.startswith(found):
                    raise NotSigned(f"{signed} is shorter than {built}")
                place += next(i for i in range(len(found)) if found[i] != data[i])
                raise NotSigned(f"{signed} differs from {built} at byte {place}: it was made of another package")
            place += len(data)
        trailer = stream.read(_MOST_TRAILER_BYTES + 1)
    if not trailer:
        raise NotSigned(f"{signed} equals {built}: it has no signature")
    signature = find_signature(trailer) if len(trailer) <= _MOST_TRAILER_BYTES else None
    if signature is None:
        raise NotSigned(f"{signed} begins as {built}, but what follows is no signature, or an incomplete one")
    return signature
