from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.targets.host import Host
from incamera.targets.target import Target
from incamera.toolchain.data import enter
from incamera.toolchain.emulated_requirements import installed_versions, platform_options
from incamera.toolchain.emulated_root import EmulatedRoot, link_aliases, plan_emulated_root, select_emulator
from incamera.toolchain.emulation import estimate_seconds
from incamera.toolchain.interpreter import BuildInterpreter, HostTree

X86 = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")
ARM = Host("aarch64", "arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1")
ARMV7 = Target.parse("armv7hf-cp311")


def make_root(folder: Path, target: Target = ARMV7, *, emulator: bool = True) -> EmulatedRoot:
    (folder / "tree/etc").mkdir(parents=True)
    (folder / "tree/usr").mkdir()
    tools = HostTree(folder / "tools", X86)
    return EmulatedRoot(
        target=target,
        tree=folder / "tree",
        emulator=folder / "qemu" if emulator else None,
        proot=tools,
        interpreter=BuildInterpreter(tools, target.python),
    )


def spec_of(root: EmulatedRoot, folder: Path) -> dict[str, object]:
    folder.mkdir()
    root.make(folder)
    argv = root.entry(folder, ["/bin/true"], read_only={}, writable={"/build": folder}, environment={})
    spec: dict[str, object] = json.loads(Path(argv[-2]).read_text())
    return spec


def test_root_is_for_the_target_and_its_tools_are_for_the_host() -> None:
    plan = plan_emulated_root(ARMV7, X86, ["libjpeg-dev"])
    assert (plan.tree.suite, plan.tree.architecture) == ("bookworm", "armhf")
    assert {"python3.11", "libpython3.11-dev", "gcc", "g++", "make", "libjpeg-dev"} <= set(plan.tree.roots)
    assert plan.emulator is not None
    assert plan.emulator.architecture == plan.proot.architecture == "amd64"


def test_left_out_package_can_be_requested() -> None:
    assert "openssl" in plan_emulated_root(ARMV7, X86).tree.leave_out
    assert "openssl" not in plan_emulated_root(ARMV7, X86, ["openssl"]).tree.leave_out


def test_host_of_the_targets_architecture_needs_no_emulator(tmp_path: Path) -> None:
    target = Target.parse("aarch64")
    assert plan_emulated_root(target, ARM).emulator is None
    spec = spec_of(make_root(tmp_path, target, emulator=False), tmp_path / "root")
    assert spec["binfmt"] is None
    assert "-q" not in str(spec["proot"])


def test_only_the_targets_emulator_is_unpacked() -> None:
    paths = [f"usr/bin/qemu-{name}-static" for name in ("arm", "armeb", "aarch64", "aarch64_be", "i386")]
    for name, machine in (("armv7hf", "arm"), ("aarch64", "aarch64")):
        chosen = [path for path in paths if select_emulator(Target.parse(name), path)]
        assert chosen == [f"usr/bin/qemu-{machine}-static"]


def test_names_that_builds_expect_lead_to_the_programs_that_are_there(tmp_path: Path) -> None:
    for name in ("which.gnu", "gcc", "c99-gcc", "gfortran", "automake-1.15", "automake-1.16", "dash", "bash"):
        (tmp_path / name).touch()
    (tmp_path / "sh").symlink_to("bash")
    link_aliases(tmp_path, Target.parse("armv7hf"))
    linked = {path.name: str(path.readlink()) for path in tmp_path.iterdir() if path.is_symlink()}
    assert linked == {
        "which": "which.gnu",
        "cc": "gcc",
        "c99": "c99-gcc",
        "f77": "gfortran",
        "f95": "gfortran",
        "automake": "automake-1.16",
        "sh": "bash",
    }


def test_tree_of_the_store_is_mounted_read_only(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    rows = spec_of(root, tmp_path / "root")["binds"]
    assert isinstance(rows, list)
    assert [str(root.tree / "usr"), "/usr", False] in rows
    assert [inside for _, inside, writable in rows if writable and not inside.startswith("/dev/")] == ["/build"]


def elf_header(*, machine: int, wide: int, kind: int = 2, abi: int = 0) -> bytes:
    return b"\x7fELF" + bytes([wide, 1, 1, abi, 0]) + bytes(7) + struct.pack("<HH", kind, machine)


def matches(rule: object, header: bytes) -> bool:
    """Does the kernel's binfmt_misc recognise a file with *header* by *rule*?"""
    assert isinstance(rule, str)
    _, _, _, offset, magic, mask, _, flags = rule.split(":")
    assert (offset, sorted(flags)) == ("", ["F", "P"])
    wanted, bits = ([int(byte, 16) for byte in expand(text)] for text in (magic, mask))
    assert len(wanted) == len(bits) == len(header)
    return all(a & m == b & m for a, b, m in zip(header, wanted, bits, strict=True))


def expand(text: str) -> list[str]:
    return [hexadecimal or f"{ord(plain):x}" for hexadecimal, plain in re.findall(r"\\x(..)|(.)", text)]


@pytest.mark.parametrize(("name", "machine", "wide"), [("armv7hf", 40, 1), ("aarch64", 183, 2)])
def test_binfmt_rule_matches_only_the_targets_programs(tmp_path: Path, name: str, machine: int, wide: int) -> None:
    rule = spec_of(make_root(tmp_path, Target.parse(name)), tmp_path / "root")["binfmt"]
    for kind in (2, 3):  # at a fixed address; anywhere
        for abi in (0, 3):
            assert matches(rule, elf_header(machine=machine, wide=wide, kind=kind, abi=abi))
    assert not matches(rule, elf_header(machine=machine, wide=wide, kind=1))  # an object file
    assert not matches(rule, elf_header(machine=62, wide=2))  # this computer's
    assert not matches(rule, elf_header(machine=machine, wide=3 - wide))


def test_versions_of_debian_packages_are_known_by_their_metadata(tmp_path: Path) -> None:
    for name in ("numpy-1.24.2.egg-info", "Cython_Plus-0.29-py3.11.egg-info", "wheel-0.38.4.dist-info"):
        (tmp_path / name).mkdir()
    assert installed_versions(tmp_path) == {"numpy": "1.24.2", "cython-plus": "0.29", "wheel": "0.38.4"}


def test_pip_gets_the_targets_tags() -> None:
    options = platform_options(ARMV7)
    platforms = [options[n + 1] for n, word in enumerate(options) if word == "--platform"]
    assert {"manylinux_2_36_armv7l", "manylinux_2_17_armv7l", "manylinux2014_armv7l", "linux_armv7l"} <= set(platforms)
    assert "manylinux_2_37_armv7l" not in platforms  # a newer C library than bookworm's
    assert options[options.index("--python-version") + 1] == "3.11"


def test_estimate_grows_with_the_size_of_the_sources(tmp_path: Path) -> None:
    nothing = estimate_seconds(tmp_path)
    (tmp_path / "readme.rst").write_text("x" * 10**6)
    assert estimate_seconds(tmp_path) == nothing
    (tmp_path / "a.c").write_text("x" * 10**5)
    few = estimate_seconds(tmp_path)
    (tmp_path / "b.cpp").write_text("x" * 10**6)
    assert nothing < few < estimate_seconds(tmp_path)


@pytest.mark.starts_processes
def test_only_system_calls_newer_than_proot_are_refused() -> None:
    # Called by its number, since the C library would replace it by an older call.
    code = (
        "import ctypes, os, platform\n"
        "from incamera.toolchain.data import enter\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "number = enter._STATX[platform.machine()]\n"
        "def statx():\n"
        "    result = libc.syscall(number, -100, b'/', 0, 0x7ff, ctypes.create_string_buffer(256))\n"
        "    return 0 if result == 0 else ctypes.get_errno()\n"
        "print(statx())\n"
        "enter._refuse_new_calls()\n"
        "print(statx(), os.stat('/').st_mode > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "38", "True"]


@pytest.mark.starts_processes
def test_root_that_cannot_be_entered_is_an_error(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    folder = tmp_path / "root"
    folder.mkdir()
    root.make(folder)
    argv = root.entry(folder, ["/nothing"], read_only={}, writable={}, environment={})
    spec = json.loads(Path(argv[-2]).read_text()) | {"proot": None}
    Path(argv[-2]).write_text(json.dumps(spec))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == enter.CANNOT_START
    assert "this system does not allow a private root folder" in done.stderr
