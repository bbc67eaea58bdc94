"""What of the vendor's image is taken: the camera's sysroot, and flags that name neither files nor programs."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incamera.sdk.vendor import TOP, find_architecture, is_wanted, read_flags
from incamera.targets.architecture import Architecture

SCRIPT = """\
# Check for LD_LIBRARY_PATH being set
if [ ! -z "${LD_LIBRARY_PATH:-}" ]; then
    return 1
fi
export SDKTARGETSYSROOT=/opt/axis/acapsdk/sysroots/armv7hf
export FLOAT="-mfloat-abi=hard"
export CC="arm-linux-gnueabihf-gcc  -mthumb -mfpu=neon ${FLOAT} -mcpu=cortex-a9 --sysroot=$SDKTARGETSYSROOT -L$SDKTARGETSYSROOT/usr/lib"
export CFLAGS=" -O2 -pipe -g -U_TIME_BITS -U_FILE_OFFSET_BITS -fstack-protector-strong -DNAME=1"
export LDFLAGS="-Wl,-O1 -Wl,--hash-style=gnu -Wl,--disable-new-dtags -Wl,-z,relro,-z,now"
"""  # noqa: E501


def test_flags_are_those_of_the_compiler_and_the_linker() -> None:
    assert read_flags(SCRIPT) == (
        *("-mthumb", "-mfpu=neon", "-mfloat-abi=hard", "-mcpu=cortex-a9", "-O2", "-U_TIME_BITS", "-U_FILE_OFFSET_BITS"),
        *("-fstack-protector-strong", "-DNAME=1", "-Wl,-O1", "-Wl,--hash-style=gnu", "-Wl,--disable-new-dtags"),
    )


@pytest.mark.parametrize(
    "flag",
    [
        *(
            "-fplugin=/x.so",
            "-fplugin-arg-x=1",
            "-B/opt",
            "-wrapper,x",
            "-specs=/x",
            "-I/usr/include",
            "-isystem",
            "/x",
        ),
        *("-Wl,-rpath,/x", "-Wl,--dynamic-linker=/x", "-Wl,-T/x", "-Wl,-plugin,/x", "-Xlinker", "@file", "x.o", "-lx"),
        *("--sysroot=/x", "-o", "-fprofile-use=/x", "-fsanitize=address", "-march=native", "-mcpu=native", "-include"),
        *("-fdump-tree-all=/x", "-save-temps", "-DX=$(id)", "-DX=`id`", "-fuse-ld=../x", "-Wl,-z,x=/y", "-Wl,@x"),
    ],
)
def test_flags_that_name_files_or_run_programs_are_left_out(flag: str) -> None:
    assert read_flags(f'export CC="gcc {flag} -mthumb"\n') == ("-mthumb",)


@given(
    st.text()
    | st.lists(st.sampled_from(["export ", "CC=", "CFLAGS=", '"', "'", "$CC", "${", "}", "-mthumb", " ", "\n"])).map(
        "".join
    )
)
def test_any_script_is_read(text: str) -> None:
    assert all(flag.startswith("-") and "/" not in flag and not flag.isspace() for flag in read_flags(text))


def test_script_that_doubles_its_variables_takes_no_time() -> None:
    assert read_flags('export CC="-mthumb -mthumb"\n' + 'export CC="$CC $CC"\n' * 60) in ((), ("-mthumb",))


@pytest.mark.parametrize("is_one", [True, False])
def test_script_whose_variables_would_fill_memory_is_read_without_them(is_one: bool) -> None:
    """One value that has a long one many times, and many values that have it once."""
    lines = ['CFLAGS="-mthumb"', "A=" + "x" * 20_000]
    lines += ["B=" + "$A" * 20_000] if is_one else [f"C{number}=y$A" for number in range(4000)]
    tracemalloc.start()
    assert read_flags("\n".join(lines)) == ("-mthumb",)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20


def test_flag_that_no_command_line_can_have_is_left_out() -> None:
    assert read_flags(f'CFLAGS="-f{"a" * 20_000} -mthumb"') == ("-mthumb",)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("sysroots", True),
        ("sysroots/armv7hf/usr/lib/libx.so", True),
        ("sysroots/cortexa53-crypto-poky-linux/usr", True),
        ("sysroots/x86_64-pokysdk-linux/usr", False),
        ("environment-setup-cortexa9hf-neon-poky-linux-gnueabi", True),
        ("axis-acap-manifest-tools/x", False),
        ("environment-setup-x/y", False),
    ],
)
def test_only_a_cameras_sysroot_and_the_script_are_taken(path: str, wanted: bool) -> None:
    assert is_wanted(f"{TOP}/{path}") is wanted


def test_architecture_is_known_by_the_name_of_the_folder() -> None:
    assert find_architecture("armv7hf") is Architecture.armv7hf
    assert find_architecture("cortexa9hf-neon-poky-linux-gnueabi") is Architecture.armv7hf
    assert find_architecture("aarch64") is Architecture.aarch64
    assert find_architecture("x86_64-pokysdk-linux") is None
