"""Makes archives that are built to do harm, byte by byte: what Python's own modules refuse to write."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 512


def header(name: bytes, *, size: int = 0, kind: bytes = b"0", link: bytes = b"", mode: int = 0o644) -> bytes:
    """Return a header of tar with a valid checksum. A *size* of 8 GiB or more is written as GNU tar writes it."""
    digits = b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
    head = name.ljust(100, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2 + digits + b"%011o\0" % 1_600_000_000
    tail = kind + link.ljust(100, b"\0") + b"ustar\x0000" + bytes(247)
    total = sum(head) + sum(tail) + 8 * 32
    return head + b"%06o\0 " % total + tail


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: bytes, data: bytes = b"x", **fields: object) -> bytes:
    return header(name, size=len(data), **fields) + padded(data)  # type: ignore[arg-type]


def pax(key: bytes, value: bytes, kind: bytes = b"x") -> bytes:
    """Return an extended header with one record."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return member(b"pax", str(length).encode() + rest, kind=kind)


def tar(*parts: bytes) -> bytes:
    return b"".join(parts) + bytes(2 * BLOCK)


def gzip_zeros(before: bytes, size: int) -> bytes:
    """Return *before* and then *size* zeros, as a gzip file, without having them in memory."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(before)]
    step = bytes(1 << 24)
    while size > 0:
        parts.append(packer.compress(step[: min(size, len(step))]))
        size -= len(step)
    return b"".join([*parts, packer.flush()])


def zstd_stream(data: bytes, *, window: int = 20) -> bytes:
    """Return *data* compressed with zstd, with a checksum, in a window of that power of two."""
    names = zstd.CompressionParameter
    options = {int(names.window_log): window, int(names.checksum_flag): 1, int(names.content_size_flag): 0}
    packer = zstd.ZstdCompressor(options=options)
    return packer.compress(data) + packer.flush()


def zstd_own_data(data: bytes) -> bytes:
    """Return a frame of zstd with *data*, which decompresses to nothing."""
    return b"\x50\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def zip_of(members: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return output.getvalue()


def zip_with_size(name: str, data: bytes, size: int) -> bytes:
    """Return a zip archive with one member, of which the directory says that it has *size* bytes unpacked."""
    whole = bytearray(zip_of([(name, data)]))
    place = whole.index(b"PK\x01\x02")
    struct.pack_into("<I", whole, place + 24, size)
    return bytes(whole)


GIB = 1 << 30
# Each is a tar archive that is refused, with words of the reason.
HOSTILE_TARS: dict[str, tuple[bytes, str]] = {
    "a sparse file of 44 GB (pax)": (
        tar(
            pax(b"GNU.sparse.major", b"1"),
            pax(b"GNU.sparse.size", b"47244640256"),
            member(b"own-1/setup.py", b"1\n0\n1\n" + bytes(506)),
        ),
        "sparse",
    ),
    "a sparse file of 44 GB (pax 0.0)": (
        tar(pax(b"GNU.sparse.size", b"47244640256"), member(b"own-1/setup.py")),
        "sparse",
    ),
    "a sparse file (GNU)": (tar(member(b"own-1/setup.py", kind=b"S")), "sparse"),
    "a sparse file (global header)": (
        tar(pax(b"GNU.sparse.realsize", b"47244640256", kind=b"g"), member(b"own-1/setup.py")),
        "sparse",
    ),
    "a pax header of 3 GB": (header(b"pax", size=3 * GIB, kind=b"x"), "headers are too long"),
    "a Solaris header of 3 GB": (header(b"pax", size=3 * GIB, kind=b"X"), "headers are too long"),
    "a global header of 3 GB": (header(b"pax", size=3 * GIB, kind=b"g"), "headers are too long"),
    "a long name of 3 GB": (header(b"././@LongLink", size=3 * GIB, kind=b"L"), "headers are too long"),
    "a long link of 3 GB": (header(b"././@LongLink", size=3 * GIB, kind=b"K"), "headers are too long"),
    "many extended headers": (
        tar(*[member(b"pax", b"30 comment=" + b"x" * 18 + b"\n" + bytes(900_000), kind=b"x")] * 20),
        "headers are too long",
    ),
    "too many headers": (tar(*[pax(b"comment", b"x", kind=b"g")] * 50_001), "more than 50000 members"),
    "too many empty members": (tar(*[header(b"own-1/%d" % n) for n in range(50_001)]), "more than 50000 members"),
    "too many folders": (
        tar(*[header(b"own-1/%d" % n, kind=b"5") for n in range(50_001)]),
        "more than 50000 members",
    ),
    "a member of 3 GB": (header(b"own-1/big", size=3 * GIB), "own-1/big would be 3072 MB"),
    "a member of 8 EB": (header(b"own-1/big", size=1 << 62), "own-1/big would be"),
    "a size in a pax header": (tar(pax(b"size", b"9" * 18), member(b"own-1/big")), "own-1/big would be"),
    "a negative size": (
        header(b"own-1/big").replace(b"%011o\0" % 0, b"\xff" * 12, 1),
        "no file begins|negative",
    ),
    "a long path": (tar(pax(b"path", b"own-1/" + b"x/" * 3000), member(b"own-1/x")), "characters"),
    "a deep path": (tar(pax(b"path", b"own-1/" + b"x/" * 500 + b"y"), member(b"own-1/x")), "deep"),
    "a long name": (tar(pax(b"path", b"own-1/" + b"x" * 300), member(b"own-1/x")), "255 bytes"),
    "a malformed pax header": (tar(member(b"pax", b"99 path=x\n", kind=b"x"), member(b"own-1/x")), "malformed"),
    "a pax record of no length": (tar(member(b"pax", b"0 path=x\n", kind=b"x"), member(b"own-1/x")), "malformed"),
    "a damaged header after the first file": (
        tar(member(b"own-1/a"), b"?" + member(b"own-1/b")[1:]),
        "no file begins at byte 1024",
    ),
    "a header of zeros before another file": (
        tar(member(b"own-1/a"), bytes(BLOCK), member(b"own-1/b")),
        "something after its end",
    ),
    "no end": (member(b"own-1/a"), "cut off"),
    "a file that is cut off": (header(b"own-1/a", size=5000) + bytes(BLOCK), "cut off"),
    "a hard link to nothing": (
        tar(member(b"own-1/a"), header(b"own-1/b", kind=b"1", link=b"own-1/gone")),
        "hard link to own-1/gone",
    ),
    "a hard link to the outside": (
        tar(member(b"own-1/a"), header(b"own-1/b", kind=b"1", link=b"../../etc/passwd")),
        "cannot be called",
    ),
    "a file outside": (tar(member(b"../evil")), "cannot be called"),
}
PACKED = {name: (gzip.compress(data, 1), words) for name, (data, words) in HOSTILE_TARS.items()}
_SOUND = gzip.compress(tar(member(b"own-1/a", b"y" * 9000), member(b"own-1/b")))
# The same for what is wrong with the compression.
HOSTILE_PACKED: dict[str, tuple[bytes, str]] = {
    **PACKED,
    "zeros without end": (
        gzip_zeros(b"".join(header(b"own-1/%d" % n, size=1 << 26) + bytes(1 << 26) for n in range(2)), 3 << 26),
        "times its own size",
    ),
    "a wrong checksum": (_SOUND[:-8] + bytes([_SOUND[-8] ^ 1]) + _SOUND[-7:], "damaged: .*check"),
    "a wrong length": (_SOUND[:-1] + bytes([_SOUND[-1] ^ 1]), "damaged: .*length"),
    "a truncated gzip file": (_SOUND[:-4], "cut off"),
    "a gzip file cut in half": (_SOUND[: len(_SOUND) // 2], "cut off"),
    "bytes after the end": (_SOUND + b"garbage", "after its end"),
    "a second gzip file after the end": (_SOUND + gzip.compress(b"more"), "after its end"),
}
