"""Choosing kernel modules, from real (tiny) ELF files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.virtual.modules import read_module, select_modules, write_indexes


def module_file(**facts: str | list[str]) -> bytes:
    """Return a 64-bit ELF object with one section, `.modinfo`."""
    pairs = [
        (key, value) for key, values in facts.items() for value in ([values] if isinstance(values, str) else values)
    ]
    info = b"".join(f"{key}={value}".encode() + b"\0" for key, value in pairs)
    names = b"\0.modinfo\0.shstrtab\0"
    sections = 64 + len(info) + len(names)
    header = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 1, 183, 1, 0, 0, sections, 0, 64, 0, 0, 64, 3, 2)
    )

    def section(name: int, kind: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 1, 0)

    table = bytes(64) + section(1, 1, 64, len(info)) + section(10, 3, 64 + len(info), len(names))
    return header + info + names + table


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    files = {
        "kernel/fs/smb/client/cifs.ko": module_file(
            depends="cifs_arc4,netfs", softdep="pre: nls aes pre: ccm", alias=["fs-cifs", "smb3"]
        ),
        "kernel/fs/smb/common/cifs_arc4.ko": module_file(depends=""),
        "kernel/fs/netfs/netfs.ko": module_file(depends="fscache"),
        "kernel/fs/fscache/fscache.ko": module_file(depends=""),
        "kernel/crypto/ccm.ko": module_file(depends="", alias="crypto-ccm"),
        "kernel/drivers/char/hw_random/virtio-rng.ko": module_file(depends="virtio"),
        "kernel/fs/broken.ko": module_file(depends="missing"),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio.ko\n")
    return tmp_path


def test_module_is_selected_with_all_its_dependencies(kernel: Path) -> None:
    chosen = {module.name for module in select_modules(kernel, ["cifs"], [])}
    assert chosen == {"cifs", "cifs_arc4", "netfs", "fscache", "ccm"}


def test_indexes_list_dependencies_in_modprobes_order(kernel: Path) -> None:
    indexes = write_indexes(select_modules(kernel, ["cifs"], []))
    lines = dict(line.split(":", 1) for line in indexes["modules.dep"].splitlines())
    needed = lines["kernel/fs/smb/client/cifs.ko"].split()
    assert sorted(needed) == [
        "kernel/fs/fscache/fscache.ko",
        "kernel/fs/netfs/netfs.ko",
        "kernel/fs/smb/common/cifs_arc4.ko",
    ]
    assert needed.index("kernel/fs/netfs/netfs.ko") < needed.index("kernel/fs/fscache/fscache.ko")
    assert lines["kernel/fs/fscache/fscache.ko"] == ""
    assert "alias fs-cifs cifs\n" in indexes["modules.alias"]
    assert "alias crypto-ccm ccm\n" in indexes["modules.alias"]


def test_modules_built_into_the_kernel_are_left_out(kernel: Path) -> None:
    assert [module.name for module in select_modules(kernel, ["ext4", "virtio-rng"], [])] == ["virtio_rng"]


def test_missing_module_is_an_error_only_when_required(kernel: Path) -> None:
    assert select_modules(kernel, [], ["nfsv4"]) == []
    with pytest.raises(BuildError, match="nfsv4"):
        select_modules(kernel, ["nfsv4"], [])
    with pytest.raises(BuildError, match="missing, which broken needs"):
        select_modules(kernel, [], ["broken"])


@pytest.mark.parametrize("data", [b"", b"not an ELF file", b"\x7fELF\x02\x01\x01" + bytes(57)])
def test_file_that_is_not_a_module_is_named_in_the_error(data: bytes) -> None:
    with pytest.raises(BuildError, match=r"kernel/odd\.ko"):
        read_module("kernel/odd.ko", data)
