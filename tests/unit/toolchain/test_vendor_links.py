"""The vendor's SDK in a build: what Debian's sysroot has hides what the SDK has of that name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.container_images import write_files

from incamera.toolchain.vendor_sdk import SdkFiles, change_command, link_sdk

GNU = "arm-linux-gnueabihf"
OWN = ("-march=armv7-a", "-mthumb")


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    debian = write_files(
        tmp_path / "debian/usr",
        {"include/stdio.h": b"", f"include/{GNU}/sys/a.h": b"", f"lib/{GNU}/libz.so": b"", "lib/libown.so": b""},
    ).parent
    sysroot = write_files(
        tmp_path / "sdk",
        {f"usr/include/{name}": b"" for name in ("stdio.h", "sys/a.h", "vdo.h", "glib-2.0/glib.h", "c++/13/vector")}
        | {
            f"usr/lib/{name}": b""
            for name in ("libz.so", "libown.so", "libvdo.so", "libc.so", "libm.so.6", "libgcc_s.so")
        }
        | {f"usr/lib/{name}": b"" for name in ("crt1.o", "libstdc++.so.6", "libcurl.so", "libmagic.so", "python3/x.py")}
        | {"lib/libaxis.so": b"", "usr/lib/pkgconfig/vdo.pc": b"prefix=/usr\nx=/usr/lib:/usr\ny=/a/usr/z\n"},
    )
    link_sdk(SdkFiles(sysroot, ()), tmp_path / "links", debian, GNU)
    return tmp_path / "links/usr"


def test_only_what_debian_lacks_is_linked(linked: Path) -> None:
    assert {path.name for path in (linked / "include").iterdir()} == {"vdo.h", "glib-2.0"}
    libraries = {"libvdo.so", "libcurl.so", "libmagic.so", "libaxis.so", "pkgconfig"}
    assert {path.name for path in (linked / "lib").iterdir()} == libraries
    assert (linked / "include/glib-2.0/glib.h").is_file()


def test_pkg_config_files_lead_to_the_links(linked: Path) -> None:
    assert (linked / "lib/pkgconfig/vdo.pc").read_text() == "prefix=/sdk/usr\nx=/sdk/usr/lib:/sdk/usr\ny=/a/usr/z\n"


def test_flags_of_the_sdk_replace_our_own(tmp_path: Path) -> None:
    command, folder = ["gcc", *OWN, "--sysroot=x"], tmp_path
    with_processor = SdkFiles(tmp_path, ("-mcpu=cortex-a9", "-UX"))
    changed = change_command(command, with_processor, folder, OWN, gcc=True)
    assert changed[:4] == ["gcc", "--sysroot=x", "-mcpu=cortex-a9", "-UX"]
    without = change_command(command, SdkFiles(tmp_path, ("-UX",)), folder, OWN, gcc=True)
    assert without[:5] == [*command, "-UX"]
    zig = change_command(command, with_processor, folder, OWN, gcc=False)
    assert zig == [*command, "-UX", f"-L{folder}/usr/lib"]
