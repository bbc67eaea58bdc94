"""The compiler driver removes options that name folders of this computer, and refuses its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.toolchain.driver import Filter, Refused, clean_environment, main, preprocess


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """An allowed folder with a link that leads out of it."""
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
        ["-shared", "-Wl,-soname,libown.so.1", "-Wl,-h", "-Wl,libown.so.1,-O1", "-Wl,--soname=libown.so.1"],
        ["BUILD/lib/libown.so", "BUILD/project/part.o", "part.o"],
        ["-MD", "-MF", "/somewhere/module.d"],
        ["-include", "BUILD/project/config.h"],
        ["-x", "c", "-", "-march=armv7-a"],
    ],
)
def test_arguments_of_the_build_are_kept_in_order(build: Path, arguments: list[str]) -> None:
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
def test_options_with_folders_of_the_host_are_dropped(build: Path, arguments: list[str], dropped: list[str]) -> None:
    assert filtered(build, "-O2", *arguments, "module.c") == (["-O2", "module.c"], dropped)


def test_run_path_in_the_sysroot_is_removed_without_a_note(build: Path) -> None:
    assert filtered(build, "-Wl,-rpath,BUILD/lib:BUILD/lib:", "-Wl,-O1") == (["-Wl,-O1"], [])


def test_folder_with_an_allowed_prefix_is_dropped(build: Path) -> None:
    assert filtered(build, f"-I{build}-other") == ([], [f"-I{build}-other"])


def test_relative_run_path_is_kept(build: Path) -> None:
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
def test_file_of_the_host_is_refused(build: Path, arguments: list[str]) -> None:
    with pytest.raises(Refused, match=r"(libfoo|stdio).* of this computer"):
        filtered(build, *arguments)


def test_response_files_are_filtered(build: Path) -> None:
    (build / "project/inner").write_text("-I/usr/local/include")
    (build / "project/flags").write_text('-I/usr/include "-DNAME=a b"\n@inner part.o')
    kept, dropped = filtered(build, "@flags", "-O2")
    assert kept == ["-DNAME=a b", "part.o", "-O2"]
    assert dropped == ["-I/usr/include", "-I/usr/local/include"]


def test_variables_with_search_paths_are_removed() -> None:
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


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ("-I include file.c", "-E -I include file.c"),
        ("-P -DX=1 template.in", "-E -P -DX=1 -x c template.in"),
        ("-x c++ template.in", "-E -x c++ template.in"),
        ("-traditional-cpp", "-E -traditional-cpp -x c -"),
        ("- out.txt", "-E -x c - -o out.txt"),
        ("file.cpp file.ii", "-E file.cpp -o file.ii"),
        ("-o out.txt -include config.h file.h", "-E -o out.txt -include config.h file.h"),
    ],
)
def test_cpp_preprocesses_files_of_any_name_as_c(
    build: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, called: str
) -> None:
    monkeypatch.chdir(build)
    started: list[list[str]] = []
    monkeypatch.setattr("os.execve", lambda program, words, environment: started.append(words))
    preprocess(["/cc", "--sysroot=/s"], ([str(build)], [], str(build / "log")), arguments.split())
    assert started == [["/cc", "--sysroot=/s", *called.split()]]


def test_cpp_drops_folders_of_the_host(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(build)
    started: list[list[str]] = []
    monkeypatch.setattr("os.execve", lambda program, words, environment: started.append(words))
    preprocess(["/cc"], ([str(build)], [], str(build / "log")), ["-I/usr/include", "file.c"])
    assert started == [["/cc", "-E", "file.c"]]


def test_headers_of_requirements_are_searched_after_all_others(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(build)
    started: list[list[str]] = []
    monkeypatch.setattr("os.execve", lambda program, words, environment: started.append(words))
    headers = [str(build / "lib"), str(build / "project/include")]
    main(["/cc"], ([str(build)], headers, str(build / "log")), ["-c", "file.c"])
    # gcc would search a folder that is named twice in the later place only.
    main(["/cc"], ([str(build)], headers, str(build / "log")), ["-Iproject/../lib", "-c", "file.c"])
    last = ["-idirafter", str(build / "project/include")]
    assert started == [
        ["/cc", "-c", "file.c", "-idirafter", str(build / "lib"), *last],
        ["/cc", "-Iproject/../lib", "-c", "file.c", *last],
    ]
