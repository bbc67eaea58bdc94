"""Builds under emulation: the target's own compiler and Python, emulated in a root folder made without root."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.build.emulation import ensure_emulated_root
from incamera.errors import ToolFailed
from incamera.targets.target import Target
from incamera.toolchain.emulated_root import EmulatedRoot
from incamera.toolchain.emulation import build_wheel_emulated
from incamera.toolchain.pep517 import build_wheel
from incamera.toolchain.plan import Compiler

from ..waiting import PATIENCE_SECONDS, wait_until
from .builds import wheel_build
from .command import processes_that_mention
from .wheel_modules import Module, read_modules

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.store import Store

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
# It cannot be cross-compiled: it compiles a program, runs it, and prints where it believes to be.
RUNS_ITS_OWN = """
import os, platform, subprocess, sys
if "bdist_wheel" in sys.argv:
    with open("ask.c", "w") as file:
        file.write('#include <stdio.h>\\nint main(void) { printf("%zu", sizeof(void *)); return 0; }')
    subprocess.run(["cc", "ask.c", "-o", "ask"], check=True)
    size = subprocess.run(["./ask"], stdout=subprocess.PIPE, text=True, check=True).stdout
    print("printed:", size, platform.machine(), os.access("/usr/bin", os.W_OK) and "writable")
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


def temporary_files(store: Store, pid: int) -> list[str]:
    return [path.name for path in (store.root / "tmp").iterdir() if path.name.startswith(f"{pid}-")]


def describe(wheel: Path) -> tuple[str, list[str], dict[str, Module]]:
    with zipfile.ZipFile(wheel) as archive:
        return wheel.name, sorted(archive.namelist()), read_modules(wheel)


@pytest.mark.parametrize(
    "namespaces",
    [pytest.param(True, id="namespaces"), pytest.param(False, id="proot", marks=pytest.mark.matrix)],
)
@pytest.mark.parametrize("binfmt", [True, pytest.param(False, id="no-binfmt", marks=pytest.mark.matrix)])
def test_emulated_build_gives_the_same_wheel_as_a_cross_build(
    store: Store,
    root: EmulatedRoot,
    toolchain_for: Callable[[Target, Compiler], Any],
    tmp_path: Path,
    namespaces: bool,
    binfmt: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not binfmt:  # as before Linux 6.7: proot starts the emulator, in the namespaces
        monkeypatch.setattr(EmulatedRoot, "_binfmt", lambda root: None)
    log = tmp_path / "log"
    emulated = build_wheel_emulated(
        wheel_build(project=make_project(tmp_path / "own", setup=RUNS_ITS_OWN + SETUP), store=store, log=log),
        dataclasses.replace(root, namespaces=namespaces),
        tmp_path / "emulated",
    )
    printed = log.read_text()
    if namespaces and "does not allow namespaces" in printed:
        pytest.skip("this system forbids namespaces")
    assert ("proot is used" in printed) is not (namespaces and binfmt)
    # With namespaces, the store is mounted read-only.
    assert f"printed: 4 armv7l {'False' if namespaces else ''}" in printed
    crossed = build_wheel(
        wheel_build(project=make_project(tmp_path / "cross"), store=store),
        toolchain_for(ARMV7, Compiler.gcc),
        tmp_path / "crossed",
    )
    assert describe(emulated) == describe(crossed)
    assert not temporary_files(store, os.getpid())


def test_failure_shows_the_compilers_lines_and_build_has_no_network(
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
        build_wheel_emulated(wheel_build(project=project, store=store, log=log), root, tmp_path / "out")
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
from tests.integration.builds import wheel_build
signal.signal(signal.SIGINT, signal.default_int_handler)
root, store, project = pickle.loads(bytes.fromhex(sys.argv[1]))
build_wheel_emulated(wheel_build(project=project, store=Store(store)), root, project.parent / "out")
"""


@pytest.mark.parametrize(
    "namespaces",
    [pytest.param(True, id="namespaces"), pytest.param(False, id="proot", marks=pytest.mark.matrix)],
)
def test_interrupted_build_leaves_no_process_and_no_file(
    store: Store, root: EmulatedRoot, tmp_path: Path, namespaces: bool
) -> None:
    seconds = f"60.{os.getpid()}{int(namespaces)}"  # its processes are found by this number
    sleep = f"sleep {seconds}"
    setup = (
        f"import subprocess\nsubprocess.Popen(['sleep', '{seconds}'], start_new_session=True)\n"
        f"subprocess.run(['sleep', '{seconds}'])\n"
    )
    project = make_project(tmp_path / "own", setup=setup + SETUP)
    arguments = pickle.dumps((dataclasses.replace(root, namespaces=namespaces), store.root, project)).hex()
    with subprocess.Popen(
        [sys.executable, "-c", BUILD, arguments], stderr=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}
    ) as builder:
        wait_until(
            lambda: len(processes_that_mention(sleep)) >= 2 or builder.poll() is not None, "both of its processes run"
        )
        assert builder.poll() is None, builder.communicate()[1].decode()
        assert temporary_files(store, builder.pid)
        builder.send_signal(signal.SIGINT)
        _, errors = builder.communicate(timeout=PATIENCE_SECONDS)
    assert b"KeyboardInterrupt" in errors
    assert not processes_that_mention(sleep)
    assert not temporary_files(store, builder.pid)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]
