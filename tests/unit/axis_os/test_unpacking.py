"""Packages that would do harm, and uploads that are cut off."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from incamera.archives import BadArchive
from incamera.axis_os.multipart import BadUpload, save_file
from incamera.axis_os.unpacking import unpack


def member(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    if info.type != tarfile.REGTYPE:
        info.size = 0
    return info, data


def pack(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if info.size else None)
    path.write_bytes(gzip.compress(packed.getvalue()))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [member("../outside")],
        [member("/tmp/h/outside")],
        [member("a/../../outside")],
        [member("link", type=tarfile.SYMTYPE, linkname="/etc")],
        [member("link", type=tarfile.SYMTYPE, linkname="../..")],
        [member("sub", type=tarfile.DIRTYPE), member("link", type=tarfile.SYMTYPE, linkname="sub"), member("link/x")],
        [member("hard", type=tarfile.LNKTYPE, linkname="other")],
        [member("device", type=tarfile.CHRTYPE)],
        [member("fifo", type=tarfile.FIFOTYPE)],
        [member("a"), member("a/b")],
        [member("d/x"), member("d", type=tarfile.SYMTYPE, linkname="."), member("d/x")],
    ],
    ids=lambda members: members[-1][0].name,
)
def test_harmful_member_is_refused_and_nothing_is_written_outside(
    members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path
) -> None:
    package = pack(tmp_path / "own.eap", *members)
    (tmp_path / "inner").mkdir()
    with pytest.raises((BadArchive, OSError)):
        unpack(package, tmp_path / "inner" / "app", lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "own.eap"]
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["app"]


def test_modes_give_no_rights_and_the_last_of_two_members_counts(tmp_path: Path) -> None:
    members = [member("a", b"1", mode=0o6777), member("a", b"22", mode=0o4777), member("b/c", mode=0)]
    unpack(pack(tmp_path / "own.eap", *members), tmp_path / "app", lambda _: None)
    assert (tmp_path / "app" / "a").read_bytes() == b"22"
    assert (tmp_path / "app" / "a").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "app" / "b" / "c").stat().st_mode & 0o7777 == 0o400


def test_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(tmp_path: Path) -> None:
    folder = {"type": tarfile.DIRTYPE, "mode": 0o755}
    members = [member("a/b/c"), member("a/b", b"file"), member("a/d"), member("a/d", b"", **folder), member("a/d/e")]
    unpack(pack(tmp_path / "own.eap", *members, member("a", b"", **folder)), tmp_path / "app", lambda _: None)
    assert sorted(str(path.relative_to(tmp_path / "app")) for path in (tmp_path / "app").rglob("*")) == [
        *("a", "a/b", "a/d", "a/d/e")
    ]
    assert (tmp_path / "app/a/b").read_bytes() == b"file"


def test_each_member_is_given_to_its_owner(tmp_path: Path) -> None:
    owned: list[int] = []
    package = pack(tmp_path / "own.eap", member("a"), member("b/c"), member("d", type=tarfile.DIRTYPE, mode=0o755))
    unpack(package, tmp_path / "app", owned.append)
    assert len(owned) == 5  # the folder itself, a, b, b/c and d


BODY = (
    b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\ntext\r\n'
    b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.eap"\r\n\r\nDATA\r\n-\r\n--y\r\n--x--\r\n'
)


@pytest.mark.parametrize("piece", [1, 3, 1 << 16])
def test_file_of_an_upload_is_found_in_pieces_of_any_size(piece: int) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(piece, size if size is not None and size >= 0 else piece))

    found = io.BytesIO()
    assert save_file(Slow(BODY), len(BODY), 'multipart/form-data; boundary="x"', found)
    assert found.getvalue() == b"DATA\r\n-\r\n--y"


def test_every_cut_of_an_upload_is_an_error() -> None:
    for end in range(len(BODY) - 4):
        with pytest.raises(BadUpload):
            save_file(io.BytesIO(BODY[:end]), len(BODY), "multipart/form-data; boundary=x", io.BytesIO())


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "application/json; boundary=x"])
def test_other_content_type_is_no_upload(content_type: str) -> None:
    with pytest.raises(BadUpload):
        save_file(io.BytesIO(BODY), len(BODY), content_type, io.BytesIO())


def test_upload_without_a_file_name_has_no_file() -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nDATA\r\n--x--'
    assert not save_file(io.BytesIO(body), len(body), "multipart/form-data; boundary=x", io.BytesIO())
