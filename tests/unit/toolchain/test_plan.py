from __future__ import annotations

import pytest

from incamera.errors import ConfigError
from incamera.targets.architecture import Architecture
from incamera.targets.host import Host
from incamera.targets.suite import load_suites
from incamera.targets.target import Target
from incamera.toolchain.emulator import plan_emulator, select_for_emulator
from incamera.toolchain.plan import Compiler, load_compilers, plan_toolchain, select_for_sysroot

X86 = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")
ARM = Host("aarch64", "arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1")


@pytest.mark.parametrize("architecture", Architecture)
def test_tools_are_for_the_host_and_the_sysroot_is_for_the_target(architecture: Architecture) -> None:
    plan = plan_toolchain(Target(architecture, "3.11"), Compiler.gcc, X86)
    assert plan.interpreter.architecture == "amd64"
    assert "python3.11" in plan.interpreter.roots
    assert plan.compiler_tree is not None
    assert plan.compiler_tree.architecture == "amd64"
    assert plan.sysroot.architecture == architecture.facts.debian
    assert {tree.suite for tree in (plan.interpreter, plan.compiler_tree, plan.sysroot)} == {"bookworm"}


@pytest.mark.parametrize(
    ("target", "host", "roots"),
    [
        ("armv7hf-cp311", X86, ("gcc-12-arm-linux-gnueabihf", "g++-12-arm-linux-gnueabihf")),
        ("aarch64-cp311", X86, ("gcc-12-aarch64-linux-gnu", "g++-12-aarch64-linux-gnu")),
        ("armv7hf-cp311", ARM, ("gcc-12-arm-linux-gnueabihf", "g++-12-arm-linux-gnueabihf")),
        ("aarch64-cp311", ARM, ("gcc-12", "g++-12")),
        ("aarch64-cp313", ARM, ("gcc-14-aarch64-linux-gnu", "g++-14-aarch64-linux-gnu")),
        ("armv7hf-cp313", X86, ("gcc-14-arm-linux-gnueabihf", "g++-14-arm-linux-gnueabihf")),
    ],
)
def test_gcc_packages_for_target_and_host(target: str, host: Host, roots: tuple[str, ...]) -> None:
    plan = plan_toolchain(Target.parse(target), Compiler.gcc, host)
    assert plan.compiler_tree is not None
    assert plan.compiler_tree.roots == roots


def test_c_library_comes_from_the_sysroot_only() -> None:
    plan = plan_toolchain(Target(Architecture.armv7hf, "3.11"), Compiler.gcc, X86)
    assert plan.compiler_tree is not None
    assert {"libc6-armhf-cross", "libc6-dev-armhf-cross"} <= plan.compiler_tree.leave_out
    assert "libc6" not in plan.compiler_tree.leave_out  # the compiler's own
    assert "libc6-dev" in plan.sysroot.roots


def test_zig_needs_no_compiler_package_and_no_c_library() -> None:
    plan = plan_toolchain(Target(Architecture.armv7hf, "3.11"), Compiler.zig, X86)
    assert plan.compiler_tree is None
    assert {"libc6", "libc6-dev"} <= plan.sysroot.leave_out
    assert "libpython3.11-dev" in plan.sysroot.roots


def test_every_suite_and_host_has_a_compiler() -> None:
    compilers = load_compilers()
    assert set(compilers.gcc) == {name for name, suite in load_suites().items() if suite.python}
    assert set(compilers.zig_wheels) == {X86.machine, ARM.machine}
    for wheel in compilers.zig_wheels.values():
        assert wheel.file.startswith(f"ziglang-{compilers.zig_version}-")
        assert len(wheel.sha256) == 64


def test_unknown_compiler_is_a_config_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Compiler.parse("gxx")
    assert "gcc" in str(caught.value.hint)


@pytest.mark.parametrize("compiler", Compiler)
def test_dependencies_of_dev_packages_are_in_the_sysroot(compiler: Compiler) -> None:
    target = Target(Architecture.armv7hf, "3.11")
    plain, more = (plan_toolchain(target, compiler, X86, dev).sysroot for dev in ((), ("libpng-dev", "libexpat1-dev")))
    assert set(more.roots) - set(plain.roots) == {"libpng-dev", "libexpat1-dev"}
    # Python's own need of zlib's headers is not followed, libpng's is.
    assert "libpython3.11-dev/zlib1g-dev" in more.leave_out
    assert not {"zlib1g-dev", "libexpat1-dev"} & more.leave_out
    assert ("libc6-dev" in more.leave_out) == (compiler is Compiler.zig)


def test_equal_sets_of_dev_packages_share_a_sysroot() -> None:
    target = Target(Architecture.armv7hf, "3.11")
    one, two = (
        plan_toolchain(target, Compiler.gcc, X86, dev) for dev in (("b-dev", "a-dev"), ("a-dev", "b-dev", "a-dev"))
    )
    assert one == two


def test_emulator_is_for_the_host_and_its_libraries_are_for_the_target() -> None:
    emulator, libraries = plan_emulator(Target.parse("armv7hf-cp313"), X86)
    assert emulator.architecture == "amd64"
    assert (libraries.architecture, libraries.suite) == ("armhf", "trixie")
    assert "libstdc++6" in libraries.roots
    files = ["usr/bin/qemu-arm", "usr/bin/qemu-aarch64", "usr/bin/qemu-mips", "usr/lib/x86_64-linux-gnu/libffi.so.8"]
    assert [select_for_emulator(file) for file in files] == [*files[:2], None, files[3]]


def test_static_libpython_is_not_in_the_sysroot() -> None:
    static = ["usr/lib/arm-linux-gnueabihf/libpython3.11.a", "usr/lib/python3.11/config-3.11-x/libpython3.11-pic.a"]
    assert [select_for_sysroot(path) for path in (*static, "usr/lib/arm-linux-gnueabihf/libz.a")] == [
        None,
        None,
        "usr/lib/arm-linux-gnueabihf/libz.a",
    ]
