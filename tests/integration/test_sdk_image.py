"""The vendor's SDK out of an image: a project's module is built against what only the image has."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.build.camera_sdk import ensure_sdk
from incamera.build.toolchain import ensure_toolchain
from incamera.elf import read_elf
from incamera.targets.target import Target
from incamera.toolchain.build_folder import BuildFolder, prepare
from incamera.toolchain.plan import Compiler
from incamera.toolchain.vendor_sdk import SdkFiles

from ..container_images import SYSROOT, MadeImage, digest_of, image_of, make_layer, sdk_layers, write_files
from ..unit.archives.hostile import zstd_stream
from ..unit.conftest import Web, serving
from ..unit.oci.conftest import TokenRegistry
from ..waiting import wait_until
from .command import running
from .image_registry import ImageRegistry, serve_images

if TYPE_CHECKING:
    from incamera.context import Context

    from .command import Run

ARMV7 = Target.parse("armv7hf-cp311")
FLAGS = (
    "-mthumb",
    "-mfpu=neon",
    "-mfloat-abi=hard",
    "-mcpu=cortex-a9",
    "-O2",
    "-DVENDOR=42",
    "-Wl,--disable-new-dtags",
)
HEADER = b"#include <stdint.h>\nint vendor_answer(void);\nvoid *vdo_map_new(void);\n#define VENDOR_ONLY 42\n"
PKG_CONFIG = b"""\
prefix=/usr
includedir=${prefix}/include
libdir=${prefix}/lib
Name: vendor
Description: a library of the vendor
Version: 1.0
Cflags: -I${includedir}/vendor -I${includedir}
Libs: -L${libdir} -lvendor
"""
MODULE = """\
#include <Python.h>
#include <stdio.h>
#include <vendor-only.h>

static PyObject *answer(PyObject *self, PyObject *unused) {
    return PyLong_FromLong(vdo_map_new() ? VENDOR_ONLY : 0);
}
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "vendor_app", "", -1, methods};
PyMODINIT_FUNC PyInit_vendor_app(void) { return PyModule_Create(&module); }
"""
SETUP = """\
import os, subprocess
from setuptools import Extension, setup

flags = subprocess.check_output(["pkg-config", "--cflags", "vendor"], text=True).split()
assert os.path.isfile(os.environ["SDKTARGETSYSROOT"] + "/usr/include/vendor/vendor-only.h")
setup(ext_modules=[Extension("vendor_app", ["vendor_app.c"], libraries=["vdostream"], extra_compile_args=flags)])
"""
PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "vendor-app"
version = "1.0"

[tool.setuptools]
py-modules = []

[tool.incamera]
targets = ["armv7hf"]
sdk = "SDK"
"""


def run(folder: BuildFolder, cwd: Path, *command: str) -> str:
    done = subprocess.run(
        [folder.root / "bin" / command[0], *command[1:]],
        cwd=cwd,
        env=dict(folder.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("compiler", [Compiler.gcc, pytest.param(Compiler.zig, marks=pytest.mark.matrix)])
def test_program_is_linked_with_what_only_the_sdk_has(context: Context, tmp_path: Path, compiler: Compiler) -> None:
    sysroot = tmp_path / "sdk"
    write_files(
        sysroot / "usr",
        {
            "include/vendor/vendor-only.h": HEADER,
            "include/stdio.h": b"#error the SDK's C library\n",
            "include/stdint.h": b"#error the SDK's C library\n",
            "lib/pkgconfig/vendor.pc": PKG_CONFIG,
            "lib/libc.so": b"GROUP ( /nowhere )\n",
        },
    )
    toolchain = replace(ensure_toolchain(context, ARMV7, compiler), sdk=SdkFiles(sysroot, FLAGS))
    for name in ("requirements", "first", "second"):
        (tmp_path / name).mkdir()
    first = prepare(toolchain, tmp_path / "requirements", tmp_path / "first")
    (tmp_path / "below.c").write_text("int below(void) { return 40; }\n")
    (tmp_path / "vendor.c").write_text("int below(void);\nint vendor_answer(void) { return below() + 2; }\n")
    shared = ("-shared", "-fPIC")
    run(
        first, tmp_path, "cc", *shared, "-Wl,-soname,libbelow.so.1", "below.c", "-o", f"{sysroot}/usr/lib/libbelow.so.1"
    )
    link = [f"{sysroot}/usr/lib/libbelow.so.1"]
    run(
        first,
        tmp_path,
        "cc",
        *shared,
        "-Wl,-soname,libvendor.so.1",
        "vendor.c",
        *link,
        "-o",
        f"{sysroot}/usr/lib/libvendor.so.1",
    )
    (sysroot / "usr/lib/libvendor.so").symlink_to("libvendor.so.1")
    second = prepare(toolchain, tmp_path / "requirements", tmp_path / "second")
    (tmp_path / "program.c").write_text(
        "#include <stdio.h>\n#include <vendor-only.h>\n"
        'int main(void) { printf("%d", vendor_answer()); return VENDOR != VENDOR_ONLY; }\n'
    )
    flags = run(second, tmp_path, "pkg-config", "--cflags", "--libs", "vendor").split()
    run(second, tmp_path, "cc", "-Wall", "-Werror", "program.c", "-o", "program", *flags)
    assert {"libvendor.so.1", "libc.so.6"} <= set(read_elf(tmp_path / "program").needed)


@pytest.fixture(scope="module")
def image_registry(context: Context, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    with serve_images(context, tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def test_project_is_built_against_an_image_of_a_registry_and_passes_the_audit(
    context: Context, image_registry: ImageRegistry, incamera: Run, tmp_path: Path
) -> None:
    library = (ensure_sdk(context, ARMV7) / "lib/libvdostream.so").read_bytes()
    more = make_layer(
        {
            f"{SYSROOT}/usr/include/vendor/vendor-only.h": HEADER,
            f"{SYSROOT}/usr/lib/pkgconfig/vendor.pc": PKG_CONFIG,
            f"{SYSROOT}/usr/lib/libvdostream.so.1": library,
            f"{SYSROOT}/usr/lib/libvdostream.so": "libvdostream.so.1",
        }
    )
    first, script, sdk, removing = sdk_layers()
    unpacked = (first, script, sdk, more, removing)
    packed = [
        gzip.compress(first),
        gzip.compress(script),
        gzip.compress(sdk),
        zstd_stream(more),
        gzip.compress(removing),
    ]
    name = image_registry.push("vendor/sdk", "1.0-armv7hf", MadeImage(tuple(packed), unpacked))
    write_files(tmp_path, {"vendor_app.c": MODULE.encode(), "setup.py": SETUP.encode()})
    (tmp_path / "app.py").write_text("import vendor_app\nprint(vendor_app.answer())\n")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace("SDK", name.replace("armv7hf", "{architecture}")))

    missing = incamera("build", cwd=tmp_path)
    assert missing.code == 3
    assert f"incamera sdk add {name}" in missing.err
    added = incamera("sdk", "add", name, "--json")
    assert added.code == 0, added.err
    sysroot = Path(json.loads(added.out)["sysroot"])
    assert image_registry.asked == ["repository:vendor/sdk:pull"]
    assert sorted(path.name for path in (sysroot / "lib").iterdir()) == [
        "libvdostream.so",
        "libvdostream.so.1",
        "pkgconfig",
    ]
    try:
        audited = incamera("audit", "--profile", "axis-os-12-armv7hf", "--json", cwd=tmp_path)
        assert audited.code == 0, audited.err
        report = json.loads(audited.out)
        assert report["findings"] == []
        assert "of this computer" not in audited.err
        again = incamera("build", "--json", cwd=tmp_path)
        assert all(step["cached"] for step in json.loads(again.out)["steps"])
    finally:
        assert incamera("sdk", "remove", name).code == 0


def test_image_that_the_registry_does_not_have_is_an_error_with_its_tags(
    image_registry: ImageRegistry, incamera: Run
) -> None:
    image_registry.push("vendor/other", "2.0-armv7hf", MadeImage((), ()))
    done = incamera("sdk", "add", f"{image_registry.address}/vendor/other:2.1-armv7hf")
    assert done.code == 5
    assert "2.0-armv7hf" in done.err.partition("hint:")[2]


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.matrix)])
def test_download_that_was_ended_is_not_taken_for_whole_and_goes_on(
    tmp_path: Path, incamera_process: Run, end: signal.Signals
) -> None:
    sdk = sdk_layers()
    image = image_of(*sdk[:2], make_layer({f"{SYSROOT}/usr/include/x.h": secrets.token_bytes(1_000_000)}), *sdk[2:])
    data = image.layers[2]
    half, over = len(data) // 2, threading.Event()
    env = {"INCAMERA_STORE": str(tmp_path / "store"), "no_proxy": "127.0.0.1,localhost"}
    with serving(Web()) as web, serving(Web()) as blobs:
        registry = TokenRegistry(web, blobs)
        registry.add(image)
        page = f"/{digest_of(data)}?signature=secret"
        blobs.pages[page] = [Web.stalling(data[:half], len(data), over), Web.ranged(data)]
        part = tmp_path / "store/caches/image-layers" / f"{digest_of(data)[7:]}.part"
        with running("sdk", "add", str(registry.name()), env=env) as command:
            wait_until(lambda: part.exists() and part.stat().st_size, "some of the layer is there")
            os.killpg(command.process.pid, end)
            code = command.finish()
        over.set()
        assert code == (130 if end == signal.SIGINT else -end), command.text
        assert "Traceback" not in command.text
        begun = part.stat().st_size
        listed = incamera_process("sdk", "list", "--json", env=env)
        assert json.loads(listed.out) == {"schema": 1, "sdks": [], "cleaned": []}
        assert list((tmp_path / "store/trees").glob("sdk-images/*")) == []
        done = incamera_process("sdk", "add", str(registry.name()), "--json", env=env)
        assert done.code == 0, done.err
        sent = [
            headers.get("range") for path, headers in zip(blobs.requests, blobs.headers, strict=True) if path == page
        ]
    assert sent == [None, f"bytes={begun}-"]
    assert len((Path(json.loads(done.out)["sysroot"]) / "usr/include/x.h").read_bytes()) == 1_000_000
