"""The environment of a build: complete, and without anything of the host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.targets.host import Host
from incamera.targets.target import Target
from incamera.toolchain.alternatives import link_alternatives
from incamera.toolchain.build_folder import Toolchain, prepare
from incamera.toolchain.compiler import Gcc, write_linker_scripts
from incamera.toolchain.emulator import Emulator
from incamera.toolchain.interpreter import BuildInterpreter, HostTree
from incamera.toolchain.sysconfig import extension_suffix

HOST = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")
TARGET = Target.parse("armv7hf-cp311")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def toolchain(tmp_path: Path) -> Toolchain:
    """A toolchain of empty files, with which a build folder can be prepared."""
    gcc, sysroot = tmp_path / "gcc", tmp_path / "sysroot"
    gnu = "arm-linux-gnueabihf"
    touch(
        gcc / f"usr/lib/gcc-cross/{gnu}/12/cc1",
        *(gcc / f"usr/bin/{gnu}-{name}" for name in ("ar", "ranlib", "strip", "ld")),
        sysroot / "usr/include/python3.11/Python.h",
    )
    data = sysroot / f"usr/lib/python3.11/_sysconfigdata__{gnu}.py"
    touch(data)
    data.write_text('build_time_vars = {"CC": "gcc", "EXT_SUFFIX": ".so", "INCLUDEPY": "/usr/include/python3.11"}')
    return Toolchain(
        target=TARGET,
        interpreter=BuildInterpreter(HostTree(tmp_path / "interpreter", HOST), "3.11"),
        compiler=Gcc(HostTree(gcc, HOST)),
        sysroot=sysroot,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    folder.mkdir()
    return folder


def test_build_gets_nothing_from_the_hosts_environment(
    toolchain: Toolchain, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "CFLAGS", "CC", "CPATH", "LD_LIBRARY_PATH"), "/host/leak")
    hostile |= dict.fromkeys(("PKG_CONFIG_PATH", "HOME", "PATH", "VIRTUAL_ENV", "MAKEFLAGS"), "/host/leak")
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    environment = prepare(toolchain, tmp_path / "requirements", folder).environment
    assert not [name for name, value in environment.items() if "/host/leak" in value]
    assert environment["PATH"].startswith(str(folder / "bin"))
    assert environment["_PYTHON_HOST_PLATFORM"] == "linux-armv7l"
    assert environment["CC"] == str(folder / "bin/cc")


def test_every_compiler_name_is_the_cross_compiler(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    prepare(toolchain, tmp_path / "requirements", folder)
    for name in ("cc", "gcc", "clang", "arm-linux-gnueabihf-gcc"):
        assert (folder / "bin" / name).resolve() == folder / "bin/cc"
    for name in ("c++", "g++", "arm-linux-gnueabihf-g++"):
        assert (folder / "bin" / name).resolve() == folder / "bin/c++"
    for name in ("cpp", "arm-linux-gnueabihf-cpp"):
        assert (folder / "bin" / name).resolve() == folder / "bin/cpp"


def test_sysconfig_is_the_targets_with_paths_of_the_build(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    environment = prepare(toolchain, tmp_path / "requirements", folder).environment
    name = environment["_PYTHON_SYSCONFIGDATA_NAME"]
    module: dict[str, dict[str, str]] = {}
    exec((folder / f"lib/python3.11/site-packages/{name}.py").read_text(), module)
    values = module["build_time_vars"]
    assert values["EXT_SUFFIX"] == ".so"  # the file's own
    assert values["INCLUDEPY"] == str(folder / "sysroot/usr/include/python3.11")
    assert values["CC"] == str(folder / "bin/cc")
    assert values["LDSHARED"].startswith(f"{folder}/bin/cc -shared")
    assert "-g " not in values["CFLAGS"]


def test_missing_header_in_the_sysroot_is_named(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    (toolchain.sysroot / "usr/include/python3.11/Python.h").unlink()
    with pytest.raises(BuildError, match=r"usr/include/python3.11/Python.h"):
        prepare(toolchain, tmp_path / "requirements", folder)


def test_linker_scripts_have_paths_in_the_sysroot(tmp_path: Path) -> None:
    libraries = tmp_path / "usr/lib/arm-linux-gnueabihf"
    touch(libraries / "libc.so")
    (libraries / "libc.so").write_text(
        "GROUP ( /lib/arm-linux-gnueabihf/libc.so.6 /usr/lib/arm-linux-gnueabihf/libc_nonshared.a -lown )"
    )
    (libraries / "libown.so").write_bytes(b"\x7fELF\0\0/usr/lib/")
    (libraries / "libz.so").symlink_to("libz.so.1")
    write_linker_scripts(tmp_path, TARGET, tmp_path / "scripts")
    assert [path.name for path in (tmp_path / "scripts").glob("*.so")] == ["libc.so"]
    root = f"{tmp_path}/usr/lib/arm-linux-gnueabihf"
    assert (tmp_path / "scripts/libc.so").read_text() == f"GROUP ( {root}/libc.so.6 {root}/libc_nonshared.a -lown )"


@pytest.mark.starts_processes
def test_pkg_config_without_pkgconf_finds_nothing(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    build = prepare(toolchain, tmp_path / "requirements", folder)
    command = [str(folder / "bin/pkg-config"), "--exists", "zlib"]
    assert subprocess.run(command, env=dict(build.environment), check=False).returncode == 1


@pytest.mark.starts_processes
def test_wrapper_passes_special_characters_unchanged(tmp_path: Path) -> None:
    # A program that prints its arguments replaces the loader.
    tree = HostTree(tmp_path / "a folder's name", HOST)
    touch(loader := tree.libraries / HOST.loader)
    loader.write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
    loader.chmod(0o755)
    wrapper = tree.write_wrapper(tmp_path / "tool", tree.root / "usr/bin/tool", "--fixed")
    odd = ["a b", "it's", "$HOME", "*", '"', ""]
    printed = subprocess.run([wrapper, *odd], capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    assert printed[printed.index("--fixed") + 1 :] == odd
    assert printed[printed.index("--library-path") + 1] == str(tree.libraries)
    assert "--inhibit-cache" in printed


def test_requirements_programs_run_with_the_builds_python(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "requirements/bin"
    touch(scripts / "cython", scripts / "ninja", scripts / "gcc")
    (scripts / "cython").write_text("#!/elsewhere/python3.11\nprint()\n")
    (scripts / "ninja").write_bytes(b"\x7fELF")
    build = prepare(toolchain, tmp_path / "requirements", folder)
    # One file for sh and for Python, since some programs start themselves again by the name of their file.
    text = (folder / "bin/cython").read_text()
    assert text == f"#!/bin/sh\n'''exec' {build.python} \"$0\" \"$@\"\n' '''\nprint()\n"
    compile(text, "cython", "exec")
    assert (folder / "bin/ninja").resolve() == scripts / "ninja"
    assert (folder / "bin/gcc").resolve() == folder / "bin/cc"  # no requirement may replace the compiler


def test_native_compiler_uses_its_own_cxx_headers(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    touch(headers := tmp_path / "gcc/usr/include/c++/12/vector")
    prepare(toolchain, tmp_path / "requirements", folder)
    assert str(headers.parent) in (folder / "libexec/c++.py").read_text()
    assert str(headers.parent) not in (folder / "libexec/cc.py").read_text()


def test_extension_suffixes_are_debians() -> None:
    assert extension_suffix(TARGET) == ".cpython-311-arm-linux-gnueabihf.so"
    assert extension_suffix(Target.parse("aarch64-cp313")) == ".cpython-313-aarch64-linux-gnu.so"


def test_dropped_options_are_listed_once(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    build = prepare(toolchain, tmp_path / "requirements", folder)
    assert build.dropped == []
    (folder / "dropped.log").write_text("-I/usr/include\n-L/usr/lib\n-I/usr/include\n")
    assert json.dumps(build.dropped) == '["-I/usr/include", "-L/usr/lib"]'
    assert os.listdir(folder / "tmp") == []  # noqa: PTH208


def test_config_scripts_print_paths_in_the_sysroot(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    touch(*(toolchain.sysroot / "usr/bin" / name for name in ("geos-config", "own-config", "pkg-config", "tool")))
    (toolchain.sysroot / "usr/bin/geos-config").write_text(
        "#!/bin/sh\nprefix=/usr\nlibdir=/usr/lib/arm-linux-gnueabihf\nrun=/usr/bin/awk\necho -I${prefix}/usr/include\n"
    )
    (toolchain.sysroot / "usr/bin/own-config").write_bytes(b"\x7fELF")
    prepare(toolchain, tmp_path / "requirements", folder)
    usr = folder / "sysroot/usr"
    assert (folder / "bin/geos-config").read_text().splitlines() == [
        "#!/bin/sh",
        f"prefix={usr}",
        f"libdir={usr}/lib/arm-linux-gnueabihf",
        "run=/usr/bin/awk",
        "echo -I${prefix}/usr/include",
    ]
    assert not (folder / "bin/own-config").exists()  # a program of the target
    assert "export PKG_CONFIG_LIBDIR" in (folder / "bin/pkg-config").read_text()  # ours


def test_build_can_call_only_listed_programs_of_the_host(
    toolchain: Toolchain, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    for name in ("cmake", "ninja", "protoc", "make", "gcc", "python3"):
        touch(own / name)
        (own / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(own))
    path = prepare(toolchain, tmp_path / "requirements", folder).environment["PATH"]
    assert shutil.which("sh", path=path)
    assert shutil.which("make", path=path)
    for name in ("cmake", "ninja", "protoc", "gfortran", "ldconfig"):
        assert shutil.which(name, path=path) is None, name
    for name in ("gcc", "python3"):
        assert shutil.which(name, path=path) == str(folder / "bin" / name)


def test_libpython_is_an_empty_archive(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    prepare(toolchain, tmp_path / "requirements", folder)
    assert (folder / "linker-scripts/libpython3.11.a").read_bytes() == b"!<arch>\n"


@pytest.mark.starts_processes
def test_emulator_runs_the_targets_programs_but_not_scripts(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    # A program that prints its arguments replaces the loader.
    tree = HostTree(tmp_path / "qemu", HOST)
    touch(loader := tree.libraries / HOST.loader)
    loader.write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
    loader.chmod(0o755)
    emulator = Emulator(tree, tmp_path / "libraries")
    build = prepare(toolchain, tmp_path / "requirements", folder, emulator=emulator)
    wrapper = folder / "libexec/emulator"
    assert f"exe_wrapper = '{wrapper}'" in build.cross_file.read_text()
    program, script = tmp_path / "program", tmp_path / "script"
    program.write_bytes(b"\x7fELF\0\n\0")
    script.write_text('#!/bin/sh\necho "called $1"\n')
    script.chmod(0o755)
    words = subprocess.run([wrapper, program, "a b"], capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    assert words[-2:] == [str(program), "a b"]
    assert str(tree.root / "usr/bin/qemu-arm") in words
    assert any(word.startswith(f"LD_LIBRARY_PATH={tmp_path}/libraries/usr/lib/arm") for word in words)
    assert subprocess.run([wrapper, script, "it"], capture_output=True, check=True).stdout == b"called it\n"


def test_sysroot_in_a_recipes_setting_is_expanded(toolchain: Toolchain, folder: Path, tmp_path: Path) -> None:
    build = prepare(toolchain, tmp_path / "requirements", folder)
    assert build.expand("{sysroot}/usr:{other}") == f"{folder}/sysroot/usr:{{other}}"


def test_first_of_several_blas_libraries_is_linked(tmp_path: Path) -> None:
    libraries = tmp_path / "usr/lib/arm-linux-gnueabihf"
    touch(
        libraries / "openblas-pthread/libblas.so",
        libraries / "openblas-pthread/pkgconfig/openblas.pc",
        libraries / "blas/libblas.so",
        libraries / "blas/libblas.a",
        tmp_path / "usr/include/arm-linux-gnueabihf/openblas-pthread/cblas.h",
    )
    link_alternatives(tmp_path, TARGET)
    assert (libraries / "libblas.so").resolve() == libraries / "openblas-pthread/libblas.so"
    assert (libraries / "libblas.a").resolve() == libraries / "blas/libblas.a"
    assert (libraries / "pkgconfig/openblas.pc").is_file()
    assert (tmp_path / "usr/include/arm-linux-gnueabihf/cblas.h").is_file()
