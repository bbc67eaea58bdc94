"""Builds under emulation: the target's own compiler and Python, emulated in a root folder made without root."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.build.emulation import ensure_emulated_root
from incamera.errors import ToolFailed
from incamera.targets.target import Target
from incamera.toolchain.emulation import build_wheel_emulated
from incamera.toolchain.pep517 import build_wheel
from incamera.toolchain.plan import Compiler
from incamera.toolchain.wheel_build import WheelBuild

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.store import Store
    from incamera.toolchain.emulated_root import EmulatedRoot

ARMV7 = Target.parse("armv7hf-cp311")
PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "own"
version = "1"
"""
SETUP = """
from setuptools import Extension, setup
setup(ext_modules=[Extension("own", ["own.c"])])
"""
MODULE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "own", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_own(void) { return PyModule_Create(&module); }
"""
# What cannot be cross-built: a program is compiled and run, and asked what it thinks of where it is.
RUNS_ITS_OWN = """
import os, platform, subprocess, sys
if "bdist_wheel" in sys.argv:
    with open("ask.c", "w") as file:
        file.write('#include <stdio.h>\\nint main(void) { printf("%zu", sizeof(void *)); return 0; }')
    subprocess.run(["cc", "ask.c", "-o", "ask"], check=True)
    size = subprocess.run(["./ask"], stdout=subprocess.PIPE, text=True, check=True).stdout
    print("told:", size, platform.machine(), os.access("/usr/bin", os.W_OK) and "writable")
    with open("own.c", "a") as file:
        file.write(f"_Static_assert(sizeof(void *) == {size}, \\"size\\");\\n")
"""


@pytest.fixture(scope="module")
def root(context: Context) -> EmulatedRoot:
    return ensure_emulated_root(context, ARMV7)


def make_project(folder: Path, *, setup: str = SETUP, source: str = MODULE, pyproject: str = PYPROJECT) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(pyproject)
    (folder / "setup.py").write_text(setup)
    (folder / "own.c").write_text(source)
    return folder


def litter(store: Store, pid: int) -> list[str]:
    return [path.name for path in (store.root / "tmp").iterdir() if path.name.startswith(f"{pid}-")]


def processes_of(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in words:
            found.append(words)
    return found


def describe(wheel: Path) -> dict[str, Any]:
    from elftools.elf.elffile import ELFFile

    with zipfile.ZipFile(wheel) as archive:
        names = sorted(archive.namelist())
        [module] = [name for name in names if name.endswith(".so")]
        elf = ELFFile(io.BytesIO(archive.read(module)))
        dynamic: Any = elf.get_section_by_name(".dynamic")
        tags = [tag for tag in dynamic.iter_tags() if tag.entry.d_tag in ("DT_NEEDED", "DT_RPATH", "DT_RUNPATH")]
        return {
            "wheel": wheel.name,
            "files": names,
            "machine": elf["e_machine"],
            "flags": elf["e_flags"],
            "needs": sorted((tag.entry.d_tag, getattr(tag, "needed", "")) for tag in tags),
        }


@pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "proot"])
def test_a_build_that_runs_what_it_has_compiled_makes_what_a_cross_build_makes(
    store: Store,
    root: EmulatedRoot,
    toolchain_for: Callable[[Target, Compiler], Any],
    tmp_path: Path,
    namespaces: bool,
) -> None:
    log = tmp_path / "log"
    emulated = build_wheel_emulated(
        WheelBuild(project=make_project(tmp_path / "own", setup=RUNS_ITS_OWN + SETUP), store=store, log=log),
        dataclasses.replace(root, namespaces=namespaces),
        tmp_path / "emulated",
    )
    printed = log.read_text()
    if namespaces and "proot is used" in printed:
        pytest.skip("this system forbids namespaces")
    assert ("proot is used" in printed) is not namespaces
    # With namespaces, what the store has cannot be changed.
    assert f"told: 4 armv7l {'False' if namespaces else ''}" in printed
    crossed = build_wheel(
        WheelBuild(project=make_project(tmp_path / "cross"), store=store),
        toolchain_for(ARMV7, Compiler.gcc),
        tmp_path / "crossed",
    )
    assert describe(emulated) == describe(crossed)
    assert not litter(store, os.getpid())


def test_a_failure_is_told_in_the_compilers_words_and_there_is_no_network(
    store: Store, root: EmulatedRoot, tmp_path: Path
) -> None:
    setup = """
import sys, urllib.request
if "bdist_wheel" in sys.argv:
    try:
        urllib.request.urlopen("http://192.0.2.1/", timeout=60)
    except OSError as error:
        print("no network:", error)
"""
    project = make_project(tmp_path / "own", setup=setup + SETUP, source=MODULE + "int f(void) { return nowhere; }\n")
    log = tmp_path / "log"
    with pytest.raises(ToolFailed) as caught:
        build_wheel_emulated(WheelBuild(project=project, store=store, log=log), root, tmp_path / "out")
    assert caught.value.tail.splitlines()[0].startswith("own.c:5:")
    assert "nowhere" in caught.value.tail
    assert "Traceback" not in caught.value.tail
    assert "no network:" in log.read_text()
    assert not (tmp_path / "out").exists()


BUILD = """
import pickle, signal, sys
from pathlib import Path
from incamera.store import Store
from incamera.toolchain.emulation import build_wheel_emulated
from incamera.toolchain.wheel_build import WheelBuild
signal.signal(signal.SIGINT, signal.default_int_handler)
root, store, project = pickle.loads(bytes.fromhex(sys.argv[1]))
build_wheel_emulated(WheelBuild(project=project, store=Store(store)), root, project.parent / "out")
"""


@pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "proot"])
def test_an_interrupted_build_leaves_nothing(
    store: Store, root: EmulatedRoot, tmp_path: Path, namespaces: bool
) -> None:
    import pickle

    seconds = f"60.{os.getpid()}{int(namespaces)}"  # by which its processes are known
    setup = (
        f"import subprocess\nsubprocess.Popen(['sleep', '{seconds}'], start_new_session=True)\n"
        f"subprocess.run(['sleep', '{seconds}'])\n"
    )
    project = make_project(tmp_path / "own", setup=setup + SETUP)
    told = pickle.dumps((dataclasses.replace(root, namespaces=namespaces), store.root, project)).hex()
    with subprocess.Popen(
        [sys.executable, "-c", BUILD, told], stderr=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}
    ) as builder:
        deadline = time.monotonic() + 60
        while len(processes_of(f"sleep {seconds}")) < 2 and builder.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert builder.poll() is None, builder.communicate()[1].decode()
        assert litter(store, builder.pid)
        builder.send_signal(signal.SIGINT)
        _, errors = builder.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    assert not processes_of(f"sleep {seconds}")
    assert not litter(store, builder.pid)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]
