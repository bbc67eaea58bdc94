"""Damaged release files and package indexes are IntegrityErrors, and nothing else."""

from __future__ import annotations

import gzip
import lzma
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.fuzz.documents import NASTY_TEXTS, damaged_bytes

from incamera.debian.index import PackageIndex, _unpack_index
from incamera.debian.release import parse_release
from incamera.debian.stanza import parse_stanza
from incamera.digest import Sha256
from incamera.errors import IntegrityError

RELEASE = (
    "Origin: Debian\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n"
    f"Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\nSHA256:\n {'a' * 64} 12 main/x\n"
    f" {'b' * 64} 7 main/binary-armhf/Packages.gz\n"
)
PACKAGES = (
    "Package: libc6\nVersion: 2.36-9\nArchitecture: armhf\nDepends: libgcc-s1 (>= 3.0) | other, x:any\n"
    f"Filename: pool/main/libc6.deb\nSize: 12\nSHA256: {'a' * 64}\n\n"
    "Package: libgcc-s1\nVersion: 12.2\nArchitecture: armhf\nProvides: other (= 1), gcc\nDescription: x\n more\n .\n"
    f"Filename: pool/main/libgcc.deb\nSize: 12\nSHA256: {'b' * 64}\n"
)
LINES = st.sampled_from(RELEASE.splitlines() + PACKAGES.splitlines()) | st.sampled_from(
    [
        f"{field}: {text}"
        for field in ("SHA256", "Size", "Filename", "Package", "Provides", "Date")
        for text in NASTY_TEXTS
    ]
)
TEXTS = st.lists(LINES, max_size=14).map("\n".join)


def check_release(text: str) -> None:
    with suppress(IntegrityError):
        release = parse_release(text, name="InRelease")
        assert release.date.tzinfo is not None
        assert all(isinstance(file.sha256, Sha256) and file.size >= 0 for file in release.files.values())


def check_index(data: bytes) -> None:
    index = PackageIndex({"main": data, "security": b""})
    for name in ("libc6", "libgcc-s1", "", "x"):
        with suppress(IntegrityError):
            for deb in [*index.find(name), *index.providers("other")]:
                assert isinstance(deb.sha256, Sha256)
                assert ".." not in deb.filename.split("/")
                assert deb.size >= 0
        index.closest("libc")


def check_unpacking(data: bytes, path: str) -> None:
    with suppress(IntegrityError):
        _unpack_index(data, path, 1000)


def test_the_files_that_are_damaged_are_valid() -> None:
    assert len(parse_release(RELEASE, name="InRelease").files) == 2
    assert [deb.package for deb in PackageIndex({"main": PACKAGES.encode()}).providers("other")] == ["libgcc-s1"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(damaged_bytes(RELEASE.encode()), damaged_bytes(PACKAGES.encode()), TEXTS)
def test_damaged_files_are_only_integrity_errors(release: bytes, packages: bytes, text: str) -> None:
    check_release(release.decode("utf-8", "replace"))
    check_release(text)
    check_index(packages)
    check_index(text.encode())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(damaged_bytes(gzip.compress(PACKAGES.encode() * 9)), damaged_bytes(lzma.compress(PACKAGES.encode() * 9)))
def test_damaged_compressed_indexes_are_only_integrity_errors(packed: bytes, xz: bytes) -> None:
    check_unpacking(packed, "Packages.gz")
    check_unpacking(xz, "Packages.xz")


@pytest.mark.matrix
@settings(max_examples=2500, deadline=None, derandomize=True)
@given(damaged_bytes(RELEASE.encode()), damaged_bytes(PACKAGES.encode()), TEXTS, st.text(max_size=60))
def test_many_damaged_files_are_only_integrity_errors(
    release: bytes, packages: bytes, text: str, any_text: str
) -> None:
    check_release(release.decode("utf-8", "replace"))
    check_release(text)
    check_index(packages)
    check_index(text.encode())
    with suppress(ValueError):
        parse_stanza(any_text)


@pytest.mark.matrix
@settings(max_examples=800, deadline=None, derandomize=True)
@given(damaged_bytes(gzip.compress(PACKAGES.encode() * 9)), damaged_bytes(lzma.compress(PACKAGES.encode() * 9)))
def test_many_damaged_compressed_indexes_are_only_integrity_errors(packed: bytes, xz: bytes) -> None:
    check_unpacking(packed, "Packages.gz")
    check_unpacking(xz, "Packages.xz")
