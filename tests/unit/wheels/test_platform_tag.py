"""The platform tag of a wheel, from what its files need."""

from __future__ import annotations

from typing import Any

import pytest

from incamera.elf import ElfFacts
from incamera.errors import ConfigError
from incamera.wheels.platform_tag import find_platform_tag, load_manylinux, parse_manylinux


def tag(needs: dict[str, tuple[str, ...]], *, own: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> str:
    facts = ElfFacts(machine="EM_ARM", bits=32, needed=(*needs, *more), needs=needs)
    return find_platform_tag([facts], own, "armv7l")


@pytest.mark.parametrize(
    ("needs", "platform"),
    [
        ({}, "manylinux_2_17_armv7l"),
        ({"libc.so.6": ("GLIBC_2.4",)}, "manylinux_2_17_armv7l"),
        ({"libc.so.6": ("GLIBC_2.4", "GLIBC_2.34"), "libm.so.6": ("GLIBC_2.29",)}, "manylinux_2_34_armv7l"),
        ({"libc.so.6": ("GLIBC_2.4",), "libm.so.6": ("GLIBC_2.35",)}, "manylinux_2_35_armv7l"),
        ({"libc.so.6": ("GLIBC_ABI_DT_RELR", "GLIBC_2.4")}, "manylinux_2_36_armv7l"),
        ({"libstdc++.so.6": ("GLIBCXX_3.4.19", "CXXABI_1.3.7", "CXXABI_ARM_1.3.3")}, "manylinux_2_17_armv7l"),
        ({"libstdc++.so.6": ("GLIBCXX_3.4.20",)}, "manylinux_2_24_armv7l"),
        ({"libstdc++.so.6": ("GLIBCXX_3.4.30",), "libc.so.6": ("GLIBC_2.4",)}, "manylinux_2_35_armv7l"),
        ({"libgcc_s.so.1": ("GCC_3.5",)}, "manylinux_2_17_armv7l"),
        ({"libstdc++.so.6": ("GLIBCXX_3.4.99",)}, "linux_armv7l"),
        ({"libc.so.6": ("GLIBC_PRIVATE",)}, "linux_armv7l"),
        ({"libjpeg.so.62": ("LIBJPEG_6.2",)}, "linux_armv7l"),
    ],
)
def test_needed_symbol_versions_decide_the_tag(needs: dict[str, tuple[str, ...]], platform: str) -> None:
    assert tag(needs) == platform


def test_libraries_in_the_wheel_do_not_count() -> None:
    assert tag({}, more=("libown.so.1",)) == "linux_armv7l"
    assert tag({}, more=("libown.so.1",), own=("libown.so.1",)) == "manylinux_2_17_armv7l"


def test_the_file_that_needs_the_newest_glibc_decides() -> None:
    files = [
        ElfFacts(machine="EM_ARM", bits=32, needed=("libc.so.6",), needs={"libc.so.6": (f"GLIBC_2.{minor}",)})
        for minor in (4, 33, 28)
    ]
    assert find_platform_tag(files, (), "armv7l") == "manylinux_2_33_armv7l"


def test_malformed_manylinux_data_are_refused() -> None:
    valid: dict[str, Any] = {
        "libraries": ["libc.so.6"],
        "systems": [{"glibc": 17, "GCC": "4.7.0"}, {"glibc": 20, "GCC": "7.0"}],
    }
    assert len(parse_manylinux(valid).systems) == 2
    damages: list[dict[str, Any]] = [
        {"systems": []},
        {"systems": [{"GCC": "1"}]},
        {"systems": valid["systems"][::-1]},
        {"systems": [{"glibc": 17, "GCC": "new"}]},
        {"systems": 7},
    ]
    for damage in damages:
        with pytest.raises(ConfigError, match="manylinux"):
            parse_manylinux({**valid, **damage})
    assert load_manylinux().systems[0].minor == 17
