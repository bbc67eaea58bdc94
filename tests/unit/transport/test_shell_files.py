"""Files read and written with a shell's programs, where those fail in the middle."""

from __future__ import annotations

import io
import tarfile

import pytest

from incamera.errors import DeviceError
from incamera.transport import shell_files
from incamera.transport.device import Device, SshAddress
from incamera.transport.login_shell import Marker
from incamera.transport.protocols import NoSpaceLeft

from .fake import FakeTransport, answering, open_fake


def transport(program: str, stdout: bytes = b"", stderr: bytes = b"") -> FakeTransport:
    """Return a device on which *program* fails, having printed this."""
    return FakeTransport(
        Device(name="cam", address=SshAddress(host="192.0.2.10")), {program: answering(stdout, stderr, 1)}
    )


def archive(files: dict[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return output.getvalue()


@pytest.mark.parametrize("size", [0, 700])
def test_half_an_archive_is_an_error(size: int) -> None:
    device = transport("tar", archive({"./lib/a": b"a" * 1000})[:size], b"tar: no memory\n")
    with (
        open_fake(lambda: device) as session,
        pytest.raises(DeviceError, match="cannot read files of cam: tar: no memory"),
    ):
        session.call(shell_files.get_files(device, ["/lib/a"], limit=10_000))


def test_archive_counts_though_tar_could_not_read_one_of_its_files() -> None:
    device = transport("tar", archive({"./lib/a": b"a"}), b"tar: lib/b: Permission denied\n")
    with open_fake(lambda: device) as session:
        assert session.call(shell_files.get_files(device, ["/lib/a", "/lib/b"], limit=100)) == {"/lib/a": b"a"}


def test_more_names_than_a_shell_takes_are_read_in_groups() -> None:
    paths = [f"/lib/{'x' * 200} ü'{number}" for number in range(100)]
    device = transport("tar", archive({}))
    with open_fake(lambda: device) as session:
        assert session.call(shell_files.get_files(device, paths, limit=100)) == {}
    assert [path for program in device.started for path in program.arguments[5:]] == [f".{path}" for path in paths]
    assert max(len(Marker().command(program, terminal=False)) for program in device.started) < 9000


def test_full_disk_is_told_from_other_failures() -> None:
    device = transport("sh", stderr=b"cat: write error: No space left on device\n")
    with open_fake(lambda: device) as session:
        with pytest.raises(NoSpaceLeft, match="cam has no space left for /tmp/a"):
            session.call(shell_files.put_file(device, "/tmp/a", b"a", executable=False))
        device.programs["sh"] = answering(stderr=b"/tmp: Permission denied\n", exit_code=1)
        with pytest.raises(DeviceError, match="cannot write /tmp/a on cam: /tmp: Permission denied"):
            session.call(shell_files.put_file(device, "/tmp/a", b"a", executable=False))


def special(kind: bytes, name: str = "./lib/a", **fields: object) -> bytes:
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member.tobuf(tarfile.GNU_FORMAT)


SPARSE_44_GB = bytearray(special(tarfile.GNUTYPE_SPARSE))
SPARSE_44_GB[483:495] = b"517777777777"  # the real size
SPARSE_44_GB[148:156] = b"%06o\0 " % (sum(SPARSE_44_GB[:148]) + sum(SPARSE_44_GB[156:512]) + 8 * ord(" "))


@pytest.mark.parametrize(
    "data",
    [
        bytes(SPARSE_44_GB) + bytes(1024),
        special(tarfile.REGTYPE, size=40_000_000_000) + bytes(1024),
        special(tarfile.XHDTYPE, size=40_000_000_000) + bytes(1024),
        special(tarfile.XHDTYPE, size=0) * 5000,
        special(tarfile.GNUTYPE_LONGNAME, size=512) + b"x" * 512,
        b"not an archive" * 100,
    ],
)
def test_archive_larger_than_what_came_is_a_device_error(data: bytes) -> None:
    device = transport("tar", data)
    with open_fake(lambda: device) as session, pytest.raises(DeviceError, match="cannot read files of cam"):
        session.call(shell_files.get_files(device, ["/lib/a"], limit=10_000_000))


def test_archive_is_read_up_to_its_limit_only() -> None:
    device = transport("tar", archive({"./lib/a": bytes(200_000)}))
    with open_fake(lambda: device) as session, pytest.raises(DeviceError, match=r"1 file .*1000 bytes|1 file .*1 kB"):
        session.call(shell_files.get_files(device, ["/lib/a"], limit=1000))


def test_links_and_devices_in_an_archive_are_no_files_of_their_own() -> None:
    data = archive({"./lib/a": b"a"})[:1024]
    data += special(tarfile.LNKTYPE, "./lib/b", linkname="./lib/a") + special(
        tarfile.LNKTYPE, "./lib/c", linkname="./x"
    )
    data += special(tarfile.SYMTYPE, "./lib/d", linkname="./d") + special(tarfile.CHRTYPE, "./lib/e") + bytes(1024)
    device = transport("tar", data)
    with open_fake(lambda: device) as session:
        paths = [f"/lib/{name}" for name in "abcde"]
        assert session.call(shell_files.get_files(device, paths, limit=100)) == {"/lib/a": b"a", "/lib/b": b"a"}
