"""A damaged or invented archive is read, or refused with the error that it has; nothing is written outside, or left.

Each target has few examples each time, and many in `make test-all`. The seed is fixed.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.mutation import changes, damage_bytes
from tests.unit.archives.hostile import HOSTILE_PACKED, HOSTILE_TARS, header, member, pax, tar, zip_of, zstd_stream
from tests.unit.debian.conftest import make_ar

from incamera.abi.audit import audit_path
from incamera.abi.policy import load_policy
from incamera.archives import BadArchive, Limits, PackedStream, TarReader, open_zip, read_ar_members, unpack_bytes
from incamera.archives.packed import XZ_MAGIC
from incamera.debian.unpack import unpack_deb
from incamera.eap.description import describe
from incamera.eap.reading import read_whole
from incamera.errors import BuildError
from incamera.toolchain.sdist import unpack_sdist
from incamera.wheels.install import install_wheel

SMALL = Limits(total_bytes=1 << 20, member_bytes=1 << 18, members=100, header_bytes=1 << 12, free_bytes=1 << 18)
POLICY = load_policy("axis-os-11-armv7hf")

names = st.sampled_from(
    [b"own-1/a", b"own-1/b/c", b"./own-1", b"../x", b"/x", b"own-1/", b"\xff", b"package.conf", b""]
)
sizes = st.sampled_from([0, 1, 511, 512, 513, 1 << 20, 1 << 31, 1 << 33, 1 << 62])
kinds = st.sampled_from(
    [b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"x", b"g", b"X", b"L", b"K", b"S", b"V", b"?"]
)
keys = st.sampled_from([b"path", b"linkpath", b"size", b"mtime", b"GNU.sparse.size", b"GNU.sparse.major", b"x", b""])
tar_parts = st.one_of(
    st.builds(member, names, st.binary(max_size=600), kind=kinds, link=names),
    st.builds(header, names, size=sizes, kind=kinds, link=names),
    st.builds(pax, keys, st.binary(max_size=40) | st.integers(-5, 1 << 40).map(lambda value: str(value).encode())),
    st.just(bytes(512)),
    st.binary(max_size=512),
)
tars = st.lists(tar_parts, max_size=8).map(lambda parts: tar(*parts))
WHOLE = tar(
    pax(b"path", b"own-1/long"),
    member(b"x", b"y" * 700),
    member(b"own-1/lib.so", make_elf()),
    header(b"own-1/hard", kind=b"1", link=b"own-1/lib.so"),
    header(b"own-1/link", kind=b"2", link=b"long"),
)
WHEEL_FILES = [("own/__init__.py", b"x"), ("own/x.so", make_elf()), ("own-1.dist-info/WHEEL", b"")]
WHEEL = zip_of([*WHEEL_FILES, ("own-1.dist-info/METADATA", b"Name: own\n"), ("own-1.dist-info/RECORD", b"")])


def damaged(whole: bytes, step: int = 7) -> st.SearchStrategy[bytes]:
    return changes(tuple(range(0, len(whole), step))).map(lambda damage: damage_bytes(whole, damage))


packed_tars = st.one_of(
    tars,
    tars.map(lambda data: gzip.compress(data, 1)),
    damaged(WHOLE).map(lambda data: gzip.compress(data, 1)),
    damaged(gzip.compress(WHOLE)),
    damaged(lzma.compress(WHOLE)),
    damaged(zstd_stream(WHOLE)),
    st.sampled_from([data for data, _ in HOSTILE_TARS.values() if len(data) < 1 << 16]).flatmap(damaged),
    st.binary(max_size=200),
)
zips = st.one_of(damaged(WHEEL, 3), damaged(zip_of(WHEEL_FILES, zipfile.ZIP_STORED), 3))


def check_reader(data: bytes) -> None:
    tracemalloc.start()
    try:
        reader = TarReader(PackedStream(io.BytesIO(data), limits=SMALL), SMALL)
        for _ in reader:
            reader.read(100)
    except BadArchive:
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A decompressor for xz takes at once what the header of its stream asks for; that has a limit of its own.
    assert most < 6 * SMALL.total_bytes or XZ_MAGIC in data


def check_zip(data: bytes) -> None:
    try:
        with open_zip(io.BytesIO(data), SMALL) as archive:
            for info in archive.infos:
                assert len(archive.read(info)) <= SMALL.member_bytes
    except BadArchive:
        pass


def check_small(data: bytes) -> None:
    for read in (lambda: unpack_bytes(data, limit=1 << 20), lambda: read_ar_members(io.BytesIO(data))):
        try:
            read()
        except BadArchive:
            continue


def in_folder(check: Callable[[Path, bytes], None]) -> Callable[[bytes], None]:
    """Return *check* with a folder in which it may leave nothing but `archive` and what is in `out`."""

    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "archive").write_bytes(data)
            check(folder, data)
            assert {path.name for path in folder.iterdir()} <= {"archive", "out"}
            for path in folder.rglob("*"):
                # `Path.resolve` fails at a link that leads to itself.
                assert Path(os.path.realpath(path)).is_relative_to(folder.resolve())

    return run


def check_sdist(folder: Path, _: bytes) -> None:
    try:
        unpack_sdist(folder / "archive", folder / "out")
    except BuildError:
        assert not (folder / "out").exists()


def check_deb(folder: Path, data: bytes) -> None:
    (folder / "out").mkdir()
    (folder / "archive").write_bytes(make_ar({"debian-binary": b"2.0\n", "data.tar.gz": data}))
    try:
        unpack_deb(folder / "archive", folder / "out")
    except BuildError:
        return


def check_eap(folder: Path, data: bytes) -> None:
    eap = folder / "archive"
    eap = eap.rename(folder / "own.eap")
    report = audit_path(eap, POLICY)
    assert report.to_json()["compatible"] is report.compatible
    eap.rename(folder / "archive")


def check_inspected(data: bytes) -> None:
    reading = read_whole(io.BytesIO(data))
    description = describe(reading)
    for generation in ("11", "12", "13"):
        assert description.demands(generation, is_signed=False)
    assert sum(member.packed for member in reading.members) <= len(data)


def check_wheel(folder: Path, _: bytes) -> None:
    (folder / "out").mkdir()
    try:
        install_wheel(folder / "archive", folder / "out", name="own-1-py3-none-any.whl")
    except BuildError:
        return


DESCRIBED = gzip.compress(
    tar(
        member(b"package.conf", b'APPNAME="own"\nAPPMAJORVERSION="1"\nSTARTMODE="once"\nAPPUSR="root"\n'),
        member(b"param.conf", b'A="1" type="string"\nB=2\n'),
        member(b"own", make_elf(program=True), mode=0o755),
    ),
    compresslevel=0,
)
TARGETS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], None], int]] = {
    "tar": (packed_tars, check_reader, 30),
    "zip": (zips, check_zip, 40),
    "gzip, xz and ar": (packed_tars | damaged(make_ar({"debian-binary": b"2.0\n"})), check_small, 30),
    "sdist": (packed_tars | zips, in_folder(check_sdist), 40),
    "deb": (packed_tars, in_folder(check_deb), 20),
    "eap": (packed_tars, in_folder(check_eap), 15),
    "inspected eap": (packed_tars | damaged(DESCRIBED), check_inspected, 40),
    "wheel": (zips, in_folder(check_wheel), 40),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.matrix)])
def test_archive_is_read_or_refused(target: str, times: int) -> None:
    archives, check, examples = TARGETS[target]
    fixed = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=examples * times,
        suppress_health_check=list(HealthCheck),
    )
    fixed(given(archives)(check))()


@pytest.mark.matrix
@pytest.mark.parametrize("case", HOSTILE_PACKED)
def test_damaged_hostile_archive_is_read_or_refused(case: str) -> None:
    data = HOSTILE_PACKED[case][0][:5000]
    settings(derandomize=True, deadline=None, max_examples=50, database=None)(given(damaged(data))(check_reader))()
