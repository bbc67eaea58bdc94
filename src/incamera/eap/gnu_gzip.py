"""Compress a package with the computer's own GNU gzip, as the vendor's tool does. zlib's result differs."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from incamera import proc
from incamera.eap.archive import Packed
from incamera.eap.tar import Member, write_tar
from incamera.errors import ToolFailed

_COMMAND = ("gzip", "--no-name", "-9")
_PURPOSE = "compress the package"
_HINT = "install GNU gzip, or leave out --gzip gnu: any camera takes what zlib compresses"


def require_gnu_gzip() -> str:
    """Return the version of the computer's GNU gzip ("gzip 1.12"). Raises ToolFailed when it has none."""
    first = proc.run([_COMMAND[0], "--version"], purpose=_PURPOSE, hint=_HINT).text.partition("\n")[0]
    if not first.startswith("gzip "):
        raise ToolFailed(f"cannot {_PURPOSE}: gzip is {first or 'another program'}, and not GNU gzip", hint=_HINT)
    return first


def pack_with_gnu_gzip(
    members: Iterable[Member], mtime: int, out: Path, advance: Callable[[int], None] = lambda _: None
) -> Packed:
    """Write the package *out* of *members*, as `archive.pack` does. Raises ToolFailed."""
    tar_digest = hashlib.sha256()
    with (
        out.open("wb") as stream,
        proc.running(_COMMAND, purpose=_PURPOSE, stdin=subprocess.PIPE, stdout=stream.fileno()) as gzip,
    ):
        assert gzip.stdin is not None
        pipe = gzip.stdin

        def write(data: bytes) -> None:
            tar_digest.update(data)
            pipe.write(data)
            advance(len(data))

        try:
            tar_bytes = write_tar(members, mtime, write)
            pipe.close()
        except BrokenPipeError:
            tar_bytes = 0  # its exit code says that it has failed
        if code := gzip.wait():
            raise proc.failure(_PURPOSE, _COMMAND[0], code, hint=_HINT, output=b"")
    with out.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    return Packed(tar_digest.hexdigest(), tar_bytes, digest, out.stat().st_size)
