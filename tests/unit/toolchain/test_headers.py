"""Which folders with headers the compiler searches without being told."""

from __future__ import annotations

from pathlib import Path

from incamera.toolchain.headers import find_headers, link_headers


def files(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def test_packages_with_headers_are_found_by_their_names(tmp_path: Path) -> None:
    tree = files(
        tmp_path / "tree",
        "numpy/_core/include/numpy/arrayobject.h",
        "numpy/random/include/bitgen.h",
        "pybind11/include/pybind11/pybind11.h",
        "include/python/greenlet/greenlet.h",  # from a wheel's headers
        "include/tbb/tbb.h",  # from a wheel's data files
        "setuptools/include/notes.txt",
        "own.dist-info/include/own.h",
        "six.py",
    )
    found = find_headers(tree, tmp_path / "sysroot", "arm-linux-gnueabihf")
    assert {name: str(path.relative_to(tree)) for name, path in found.items()} == {
        "numpy": "numpy/_core/include",
        "numpy-random": "numpy/random/include",
        "pybind11": "pybind11/include",
        "headers": "include/python",
        "data": "include",
    }


def test_folders_that_pkg_config_names_are_found(tmp_path: Path) -> None:
    sysroot = files(
        tmp_path,
        "usr/include/eigen3/Eigen/src/Core/Map.h",
        "usr/include/glib-2.0/glib.h",
        "usr/lib/arm-linux-gnueabihf/glib-2.0/include/glibconfig.h",
        "usr/include/zlib.h",
        "usr/include/python3.11/Python.h",
    )
    for path, text in {
        "usr/share/pkgconfig/eigen3.pc": "prefix=/usr\nName: Eigen3\nCflags: -I${prefix}/include/eigen3\n",
        "usr/lib/arm-linux-gnueabihf/pkgconfig/glib-2.0.pc": (
            "prefix=/usr\nlibdir=${prefix}/lib/arm-linux-gnueabihf\nincludedir=${prefix}/include\n"
            "Cflags: -I${includedir}/glib-2.0 -I${libdir}/glib-2.0/include -pthread\n"
        ),
        "usr/lib/arm-linux-gnueabihf/pkgconfig/zlib.pc": "includedir=/usr/include\nCflags: -I${includedir}\n",
        "usr/lib/arm-linux-gnueabihf/pkgconfig/python-3.11.pc": "Cflags: -I/usr/include/python3.11\n",
        "usr/share/pkgconfig/odd.pc": "a=${b}\nb=${a}\nCflags: -I${a} -I/opt/include -I/usr/../etc -I/usr/none\n",
    }.items():
        files(sysroot, path)
        (sysroot / path).write_text(text)
    found = find_headers(tmp_path / "no-requirements", sysroot, "arm-linux-gnueabihf")
    assert {name: str(path.relative_to(sysroot)) for name, path in found.items()} == {
        "eigen3": "usr/include/eigen3",
        "glib-2.0": "usr/include/glib-2.0",
        "include": "usr/lib/arm-linux-gnueabihf/glib-2.0/include",
    }


def test_links_of_an_earlier_call_are_replaced(tmp_path: Path) -> None:
    link_headers(tmp_path / "include", {"python": tmp_path})
    link_headers(tmp_path / "include", {"numpy": tmp_path / "tree"})
    assert [path.name for path in (tmp_path / "include").iterdir()] == ["numpy"]
