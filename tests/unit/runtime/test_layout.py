"""The path of a package's file in a runtime, and which files are left out."""

import pytest

from incamera.runtime.layout import PACKAGES, beside_modules, is_reserved, plan_layout, plan_sources, plan_wheel
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
        ("usr/share/matplotlib/mpl-data/matplotlibrc", "share/matplotlib/mpl-data/matplotlibrc"),
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


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"{PACKAGES}/own/x.py", f"{PACKAGES}/own/x.py"),
        (f"{PACKAGES}/own/tests/x.py", None),
        (f"{PACKAGES}/own/fast.c", None),
        (f"{PACKAGES}/own/__pycache__/x.pyc", None),
        # A wheel's data, scripts and headers.
        ("share/own/x.xml", "share/own/x.xml"),
        ("share/own/x.c", "share/own/x.c"),
        ("include/python3.11/own/own.h", "include/python3.11/own/own.h"),
        ("lib/python3.11/site-packages/wsdl/x.wsdl", f"{PACKAGES}/wsdl/x.wsdl"),
        ("lib/python3/dist-packages/wsdl/x.wsdl", f"{PACKAGES}/wsdl/x.wsdl"),
    ],
)
def test_each_file_of_a_wheel_has_its_place_or_is_left_out(path: str, place: str | None) -> None:
    assert plan_wheel()(path) == place


def test_data_files_for_site_packages_are_beside_the_modules() -> None:
    assert beside_modules("lib/python3.11/site-packages/x", "app") == "app/x"
    assert beside_modules("share/lib/python3.11/site-packages/x", "app") == "share/lib/python3.11/site-packages/x"


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        *((path, True) for path in ("bin/python3", "bin/incamera-guard", "bundle.json", "etc/launcher", "app/app.py")),
        *((path, True) for path in ("libexec/python3.11", "device/launcher", "lib/python3.11/os.py", ".staged/lib/x")),
        *((path, True) for path in ("etc/ssl/cert.pem", "etc/missing.json", "etc/libraries.json")),
        *((path, False) for path in ("bin/onvif-cli", "etc/own.conf", "share/x", "lib/libown.so.1", "wsdl/x")),
    ],
)
def test_files_of_the_runtime_itself_are_reserved(path: str, reserved: bool) -> None:
    assert is_reserved(path, ARMV7HF) is reserved


def test_own_modules_of_the_project_are_not_reserved() -> None:
    assert not is_reserved("app/own/x.py", ARMV7HF, "app")
