"""The path of a package's file in a runtime, and which files are left out."""

import pytest

from incamera.runtime.layout import plan_layout, plan_sources
from incamera.targets.target import Target

ARMV7HF = Target.parse("armv7hf")
AARCH64 = Target.parse("aarch64-cp313")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("usr/bin/python3.11", "libexec/python3.11"),
        ("usr/lib/python3.11/json/decoder.py", "lib/python3.11/json/decoder.py"),
        ("usr/lib/python3/dist-packages/numpy/core/x.so", "lib/python3/dist-packages/numpy/core/x.so"),
        ("usr/lib/arm-linux-gnueabihf/libz.so.1.2.13", ".staged/lib/libz.so.1.2.13"),
        ("usr/lib/arm-linux-gnueabihf/blas/libblas.so.3", ".staged/lib/blas/libblas.so.3"),
        ("usr/lib/arm-linux-gnueabihf/ld-linux-armhf.so.3", ".staged/lib/ld-linux-armhf.so.3"),
        ("usr/share/zoneinfo/Europe/Stockholm", "share/zoneinfo/Europe/Stockholm"),
        ("usr/share/ca-certificates/mozilla/A.crt", ".staged/certificates/A.crt"),
        ("usr/lib/terminfo/x/xterm", "share/terminfo/x/xterm"),
        # Left out: other architectures, other Pythons, documentation, tests, caches, the patterns of trim.toml.
        ("usr/lib/ld-linux-armhf.so.3", None),
        ("usr/lib/aarch64-linux-gnu/libz.so.1", None),
        ("usr/lib/python3.9/os.py", None),
        ("usr/share/doc/numpy/copyright", None),
        ("usr/lib/python3.11/test/test_os.py", None),
        ("usr/lib/python3.11/__pycache__/os.cpython-311.pyc", None),
        ("usr/lib/python3/dist-packages/numpy/core/tests/test_x.py", None),
        ("usr/lib/python3/dist-packages/numpy/__init__.pyi", None),
        ("usr/share/zoneinfo/right/UTC", None),
        ("usr/bin/f2py", None),
    ],
)
def test_each_file_of_a_package_has_its_place_or_is_left_out(path: str, place: str | None) -> None:
    assert plan_layout(ARMV7HF)(path) == place


def test_layout_is_for_the_targets_python_and_architecture() -> None:
    destination = plan_layout(AARCH64)
    assert destination("usr/bin/python3.13") == "libexec/python3.13"
    assert destination("usr/bin/python3.11") is None
    assert destination("usr/lib/aarch64-linux-gnu/libz.so.1") == ".staged/lib/libz.so.1"


def test_kept_file_is_not_trimmed() -> None:
    path = "usr/lib/python3.11/turtle.py"
    assert plan_layout(ARMV7HF)(path) is None
    assert plan_layout(ARMV7HF, ["*/turtle.py"])(path) == "lib/python3.11/turtle.py"


def test_standard_library_sources_are_kept_only_on_request() -> None:
    keep_source = plan_sources(ARMV7HF)
    assert not keep_source("lib/python3.11/json/decoder.py")
    assert keep_source("lib/python3/dist-packages/numpy/version.py")
    assert keep_source("lib/python3.11/_sysconfigdata__arm-linux-gnueabihf.py")
    assert plan_sources(ARMV7HF, ["*/json/*"])("lib/python3.11/json/decoder.py")
