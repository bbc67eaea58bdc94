"""Archives that are made to do harm are refused: at once, within little memory, and nothing of them is left."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import resource
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.archives.hostile import (
    GIB,
    HOSTILE_PACKED,
    gzip_zeros,
    header,
    member,
    pax,
    tar,
    zip_of,
    zip_with_size,
    zstd_own_data,
    zstd_stream,
)
from tests.unit.debian.conftest import make_ar

import incamera
from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind
from incamera.abi.policy import load_policy
from incamera.abi.subject import open_subject
from incamera.archives import (
    BadArchive,
    Limits,
    PackedStream,
    TarReader,
    list_folder,
    open_zip,
    read_ar_members,
    unpack_bytes,
)
from incamera.debian.unpack import unpack_deb
from incamera.errors import BuildError, IntegrityError
from incamera.toolchain.sdist import unpack_sdist
from incamera.wheels.remote import read_pkg_info

POLICY = load_policy("axis-os-11-armv7hf")
MB = 1024 * 1024


@pytest.fixture(autouse=True)
def bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail when a test writes a file of more than 80 MB, or takes more than 30 s of processor time."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (80 * MB, before[1]))
    began = time.process_time()
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert time.process_time() - began < 30


def test_header_for_all_members_takes_no_time_for_each() -> None:
    """Of 80,000 keys, a copy for each of 20,000 members would take minutes."""
    keys = b"".join(b"12 %06x=x\n" % number for number in range(80_000))
    data = header(b"g", kind=b"g", size=len(keys)) + keys.ljust(-(-len(keys) // 512) * 512, b"\0")
    data += b"".join(header(b"%d" % number) for number in range(20_000)) + bytes(1024)
    assert sum(1 for _ in TarReader(PackedStream(io.BytesIO(gzip.compress(data))))) == 20_000


def test_many_empty_streams_are_refused() -> None:
    data = gzip.compress(b"") * 100_000
    with pytest.raises(BadArchive, match="more than 100 compressed streams"):
        unpack_bytes(data, limit=MB)
    with pytest.raises(BadArchive, match="more than 10000 compressed streams"):
        PackedStream(io.BytesIO(data)).read(1)


@pytest.mark.parametrize("case", HOSTILE_PACKED)
def test_hostile_sdist_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    data, words = HOSTILE_PACKED[case]
    (tmp_path / "own-1.tar.gz").write_bytes(data)
    with pytest.raises(BuildError, match=words):
        unpack_sdist(tmp_path / "own-1.tar.gz", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["own-1.tar.gz"]


@pytest.mark.parametrize("case", HOSTILE_PACKED)
def test_hostile_eap_is_a_malformed_finding_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    (tmp_path / "own.eap").write_bytes(HOSTILE_PACKED[case][0])
    report = audit_path(tmp_path / "own.eap", POLICY)
    assert [finding.kind for finding in report.errors] == [Kind.malformed], report.findings
    assert not report.compatible
    assert [path.name for path in tmp_path.iterdir()] == ["own.eap"]


@pytest.mark.parametrize("case", HOSTILE_PACKED)
def test_hostile_deb_is_refused(tmp_path: Path, case: str) -> None:
    data, words = HOSTILE_PACKED[case]
    deb = tmp_path / "own.deb"
    deb.write_bytes(make_ar({"debian-binary": b"2.0\n", "data.tar.gz": data}))
    (tmp_path / "tree").mkdir()
    with pytest.raises(IntegrityError, match=words):
        unpack_deb(deb, tmp_path / "tree", lambda path: path if path.endswith(("/a", "/b", "/x", "big")) else None)


@pytest.mark.parametrize("case", [name for name in HOSTILE_PACKED if "3 GB" in name or "sparse" in name])
def test_metadata_of_a_hostile_sdist_are_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "own-1.tar.gz").write_bytes(HOSTILE_PACKED[case][0])
    with pytest.raises(BuildError, match="damaged"):
        read_pkg_info(tmp_path / "own-1.tar.gz", "own-1.tar.gz")


def test_eap_member_of_3_gib_is_refused_without_being_written(tmp_path: Path) -> None:
    data = gzip_zeros(member(b"package.conf", b"APPNAME=own\n") + header(b"lib/libbig.so", size=3 * GIB), 3 * GIB // 16)
    (tmp_path / "own.eap").write_bytes(data)
    report = audit_path(tmp_path / "own.eap", POLICY)
    assert "lib/libbig.so would be 3072 MB" in report.errors[0].provides


def test_only_what_an_audit_reads_is_unpacked(tmp_path: Path) -> None:
    library = make_elf()
    members = [
        member(b"package.conf", b"APPNAME=own\n"),
        member(b"own", b"#!/bin/sh\n"),
        member(b"model.tflite", bytes(9_000_000)),
        member(b"html/index.html"),
        member(b"lib/libown.so.1", library),
        member(b"lib/plugin", library),
        member(b"x.py"),
        member(b"long.py", bytes(5_000_000)),
        header(b"lib/libown.so", kind=b"2", link=b"libown.so.1"),
    ]
    (tmp_path / "own.eap").write_bytes(gzip.compress(tar(*members), 1))
    with open_subject(tmp_path / "own.eap") as subject:
        found = list_folder(subject.root)
        assert found.files == ["lib/libown.so.1", "lib/plugin", "own", "package.conf", "x.py"]
        assert not found.links
        assert subject.links == {"lib/libown.so": "libown.so.1"}


@pytest.mark.parametrize("kind", [b"x", b"X", b"g", b"L", b"K"])
def test_long_headers_take_no_memory(tmp_path: Path, kind: bytes) -> None:
    data = gzip_zeros(header(b"own-1/pax", size=3 * GIB, kind=kind), 60 * MB)
    (tmp_path / "own-1.tar.gz").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(BuildError, match="headers are too long"):
        unpack_sdist(tmp_path / "own-1.tar.gz", tmp_path / "out")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 5 * MB


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zip_of((f"own-1/{number}", b"") for number in range(50_001)), "more than 50000 members"),
        (zip_of([("own-1/" + "x" * 60_000 + str(number), b"") for number in range(200)]), "directory|characters"),
        (zip_with_size("own-1/big", b"x", 0xFFFFFFF0), "own-1/big would be"),
        (zip_of([(f"own-1/{number}", bytes(30 * MB)) for number in range(4)]), "times its own size"),
        (zip_of([("own-1/" + "x/" * 300 + "y", b"")]), "deep"),
        (zip_of([("own-1/x", b"x" * 9)], zipfile.ZIP_LZMA), "compressed in an unusual way"),
        (zip_of([("../evil", b"")]), "cannot be called"),
        (b"PK" + bytes(100), "zip"),
    ],
    ids=["count", "directory", "size", "ratio", "depth", "lzma", "outside", "no zip"],
)
def test_hostile_zip_is_refused_and_leaves_nothing(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "own-1.zip").write_bytes(data)
    with pytest.raises(BuildError, match=words):
        unpack_sdist(tmp_path / "own-1.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["own-1.zip"]
    wheel = tmp_path / "own-1-py3-none-any.whl"
    wheel.write_bytes(data)
    if "outside" not in words and "called" not in words:
        assert not audit_path(wheel, POLICY).compatible


def test_ar_archive_with_many_members_is_refused() -> None:
    data = make_ar({str(number): b"" for number in range(1000)})
    with pytest.raises(BadArchive, match="more than 16 members"):
        read_ar_members(io.BytesIO(data))


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstd_stream])
def test_index_that_unpacks_to_more_than_the_release_says_is_refused(pack: object) -> None:
    packed = pack(bytes(30 * MB))  # type: ignore[operator]
    assert len(unpack_bytes(packed, limit=30 * MB)) == 30 * MB
    with pytest.raises(BadArchive, match="would be longer than"):
        unpack_bytes(packed, limit=30 * MB - 1)
    for damaged in (packed[:-1], packed[:50], packed + b"more", b"", b"Package: own\n"):
        with pytest.raises(BadArchive):
            unpack_bytes(damaged, limit=30 * MB)
    assert len(unpack_bytes(packed + pack(b"more") + bytes(8), limit=40 * MB)) == 30 * MB + 4  # type: ignore[operator]


def test_xz_stream_that_needs_gigabytes_of_memory_is_refused() -> None:
    # The header of a stream whose dictionary has 4 GB.
    huge = lzma.compress(b"x", format=lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    place = huge.index(b"\x21\x01") + 2
    changed = bytearray(huge)
    changed[place] = 40
    end = 12 + (changed[12] + 1) * 4
    changed[end - 4 : end] = zlib.crc32(changed[12 : end - 4]).to_bytes(4, "little")
    with pytest.raises(BadArchive, match="damaged"):
        PackedStream(io.BytesIO(bytes(changed))).read(1)


def test_zstd_stream_that_needs_a_gigabyte_of_memory_is_refused() -> None:
    packed = zstd_stream(bytes(MB), window=27)
    assert len(PackedStream(io.BytesIO(packed)).read(2 * MB)) == MB
    with pytest.raises(BadArchive, match="damaged"):
        PackedStream(io.BytesIO(zstd_stream(bytes(MB), window=30))).read(1)


# What is allowed


def test_all_that_valid_archives_contain_is_read(tmp_path: Path) -> None:
    long = "own-1/" + "folder/" * 30 + "ünï"
    data = tar(
        pax(b"comment", b"of git archive", kind=b"g"),
        header(b"./", kind=b"5"),
        pax(b"path", long.encode()) + pax(b"mtime", b"1600000000.5") + member(b"own-1/x", b"long"),
        member(b"././@LongLink", b"own-1/" + b"y" * 150 + b"\0", kind=b"L") + member(b"own-1/y", b"gnu"),
        member(b"own-1/old", b"v7", kind=b"\0"),
        header(b"own-1/hard", kind=b"1", link=b"own-1/old"),
        header(b"own-1/link", kind=b"2", link=b"old"),
    )
    for packed in (
        data,
        gzip.compress(data),
        lzma.compress(data),
        gzip.compress(data[:999]) + gzip.compress(data[999:]),
        zstd_stream(data),
        zstd_own_data(b"first") + zstd_stream(data[:999]) + zstd_stream(data[999:]) + zstd_own_data(b"last"),
    ):
        (tmp_path / "own-1.tar.gz").write_bytes(packed + (bytes(64) if packed is not data else b""))
        with (tmp_path / "own-1.tar.gz").open("rb") as stream:
            reader = TarReader(PackedStream(stream))
            found = {one.name: (reader.read_all(), one.time) for one in reader}
        assert found[long] == (b"long", 1_600_000_000.5)
        assert found["own-1/" + "y" * 150][0] == b"gnu"
        project = unpack_sdist(tmp_path / "own-1.tar.gz", tmp_path / "out" / str(len(packed)))
        assert {(project / name).read_bytes() for name in ("old", "hard", "link")} == {b"v7"}


def test_limits_count_what_is_unpacked_and_not_what_a_header_says() -> None:
    data = tar(*[member(b"%d" % number, bytes(10_000)) for number in range(9)])
    with pytest.raises(BadArchive, match="MB unpacked"):
        list(TarReader(PackedStream(io.BytesIO(data), limits=Limits(total_bytes=50_000))))
    with pytest.raises(BadArchive, match="times its own size"):
        list(TarReader(PackedStream(io.BytesIO(gzip.compress(data)), limits=Limits(free_bytes=50_000, ratio=5))))
    with (
        pytest.raises(BadArchive, match="more than 8 members"),
        open_zip(io.BytesIO(zip_of((str(number), b"") for number in range(9))), Limits(members=8)),
    ):
        pass


# How it stays so

READS_ARCHIVES = re.compile(
    r"\b(?:tarfile\.open(?!\(mode=\"w)|TarFile\(|ZipFile\([^)\n]*(?<!\"w\", zipfile\.ZIP_DEFLATED)(?<!\"w\")\)|"
    r"extractall|decompressobj|LZMADecompressor|ZstdDecompressor\(|(?:zlib|lzma|gzip|bz2)\.(?:decompress|open)|unpack_archive|is_zipfile|is_tarfile)"
)


def test_no_other_package_reads_archives() -> None:
    sources = Path(incamera.__file__).parent
    found = {
        path.relative_to(sources).as_posix()
        for path in sources.rglob("*.py")
        if READS_ARCHIVES.search(path.read_text("utf-8"))
    }
    # The audit's own data are part of the tool.
    assert found == {"archives/packed.py", "archives/zip.py", "abi/policy.py"}
