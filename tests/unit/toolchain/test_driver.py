"""What of a compiler's command line remains: nothing of this computer may reach the camera."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.toolchain.driver import Filter, Refused, clean_environment


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A folder that may be read, with a link that leads out of it."""
    (tmp_path / "build/project/include").mkdir(parents=True)
    (tmp_path / "build/lib").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "build/project/escape").symlink_to(tmp_path / "outside")
    return tmp_path / "build"


def filtered(build: Path, *arguments: str) -> tuple[list[str], list[str]]:
    words = Filter([str(build)], str(build / "project"))
    kept = words.filter([argument.replace("BUILD", str(build)) for argument in arguments])
    return [word.replace(str(build), "BUILD") for word in kept], words.dropped


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "module.c", "-o", "/anywhere/module.o"],
        ["-Iinclude", "-I", "include", "-IBUILD/lib", "-isystem", "BUILD/lib", "-LBUILD/lib", "-BBUILD/lib"],
        ["-I../lib", "-I./include/../include"],
        ["-I=/usr/include", "--sysroot=BUILD"],
        ["-lm", "-l", "jpeg", "-DPREFIX=/usr", "-D", "PATH=/usr/lib"],
        ["-Wl,-rpath,$ORIGIN/../lib", "-Wl,-O1", "-Wl,--as-needed"],
        ["BUILD/lib/libown.so", "BUILD/project/part.o", "part.o"],
        ["-MD", "-MF", "/somewhere/module.d"],
        ["-include", "BUILD/project/config.h"],
        ["-x", "c", "-", "-march=armv7-a"],
    ],
)
def test_what_belongs_to_the_build_is_kept_in_order(build: Path, arguments: list[str]) -> None:
    assert filtered(build, *arguments) == (arguments, [])


@pytest.mark.parametrize(
    ("arguments", "dropped"),
    [
        (["-I/usr/include"], ["-I/usr/include"]),
        (["-I", "/usr/local/include"], ["-I /usr/local/include"]),
        (["-isystem", "/usr/include/python3.11"], ["-isystem /usr/include/python3.11"]),
        (["-isystem/usr/include"], ["-isystem/usr/include"]),
        (["-idirafter", "/usr/include"], ["-idirafter /usr/include"]),
        (["-L/usr/lib/x86_64-linux-gnu"], ["-L/usr/lib/x86_64-linux-gnu"]),
        (["-L", "/opt/lib"], ["-L /opt/lib"]),
        (["--sysroot=/"], ["--sysroot=/"]),
        (["-I../../outside"], ["-I../../outside"]),
        (["-Iescape"], ["-Iescape"]),
        (["-Wl,-rpath,/usr/lib"], ["-rpath /usr/lib"]),
        (["-Wl,-rpath=/usr/lib"], ["-rpath /usr/lib"]),
        (["-Wl,-R/usr/lib"], ["-rpath /usr/lib"]),
        (["-Wl,-rpath", "-Wl,/usr/lib"], ["-rpath /usr/lib"]),
        (["-Xlinker", "-rpath", "-Xlinker", "/usr/lib"], ["-rpath /usr/lib"]),
        (["-Wl,-L/usr/lib"], ["-Wl,-L/usr/lib"]),
        (["-march=native"], ["-march=native"]),
        (["-mtune=native"], ["-mtune=native"]),
    ],
)
def test_what_is_this_computers_is_left_out_and_noted(build: Path, arguments: list[str], dropped: list[str]) -> None:
    assert filtered(build, "-O2", *arguments, "module.c") == (["-O2", "module.c"], dropped)


def test_a_run_path_into_the_sysroot_goes_without_a_note(build: Path) -> None:
    assert filtered(build, "-Wl,-rpath,BUILD/lib:BUILD/lib:", "-Wl,-O1") == (["-Wl,-O1"], [])


def test_a_folder_whose_name_only_begins_like_an_allowed_one_is_left_out(build: Path) -> None:
    assert filtered(build, f"-I{build}-other") == ([], [f"-I{build}-other"])


def test_of_several_run_paths_the_relative_one_stays(build: Path) -> None:
    kept, dropped = filtered(build, "-Wl,-O1,-rpath,$ORIGIN:/usr/lib,-z,now")
    assert kept == ["-Wl,-O1,-rpath,$ORIGIN,-z,now"]
    assert dropped == ["-rpath $ORIGIN:/usr/lib"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["/usr/lib/x86_64-linux-gnu/libfoo.so"],
        ["/usr/lib/x86_64-linux-gnu/libfoo.so.6"],
        ["/usr/lib/libfoo.a"],
        ["-Wl,--whole-archive,/usr/lib/libfoo.a"],
        ["escape/libfoo.so"],
        ["-include", "/usr/include/stdio.h"],
    ],
)
def test_a_file_of_this_computer_is_refused_by_name(build: Path, arguments: list[str]) -> None:
    with pytest.raises(Refused, match=r"(libfoo|stdio).* of this computer"):
        filtered(build, *arguments)


def test_response_files_are_filtered_too(build: Path) -> None:
    (build / "project/inner").write_text("-I/usr/local/include")
    (build / "project/flags").write_text('-I/usr/include "-DNAME=a b"\n@inner part.o')
    kept, dropped = filtered(build, "@flags", "-O2")
    assert kept == ["-DNAME=a b", "part.o", "-O2"]
    assert dropped == ["-I/usr/include", "-I/usr/local/include"]


def test_search_paths_do_not_come_in_through_variables() -> None:
    hostile: tuple[str, ...] = (
        "CPATH",
        "C_INCLUDE_PATH",
        "CPLUS_INCLUDE_PATH",
        "LIBRARY_PATH",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
    )
    hostile += ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_RUN_PATH", "DEPENDENCIES_OUTPUT")
    assert clean_environment(dict.fromkeys(hostile, "/usr/lib") | {"PATH": "/bin", "TMPDIR": "/t"}) == {
        "PATH": "/bin",
        "TMPDIR": "/t",
    }
