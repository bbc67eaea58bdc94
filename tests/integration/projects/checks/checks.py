"""Runs inside the camera: functions that use what a Python user relies on.

Prints the results as one JSON document. Arguments name the functions to call; after `--without`, those not to call.
"""

import concurrent.futures
import ctypes
import json
import multiprocessing
import os
import subprocess
import sys
import traceback
from pathlib import Path

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


@check
def identity():
    return {
        "machine": os.uname().machine,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "version": sys.version_info[:2],
        "folder": os.getcwd(),
        "library_path": os.environ.get("LD_LIBRARY_PATH"),
    }


@check
def subprocess_of_ourselves():
    code = "import sys, numpy; print(sys.executable); print(numpy.arange(4).sum())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@check
def subprocess_of_the_camera():
    return subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()


def square(number):
    return number * number


@check
def multiprocessing_spawn():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        return list(pool.map(square, range(4)))


@check
def multiprocessing_shared_memory():
    from multiprocessing import shared_memory

    memory = shared_memory.SharedMemory(create=True, size=16)
    try:
        memory.buf[:3] = b"abc"
        return bytes(memory.buf[:3]).decode()
    finally:
        memory.close()
        memory.unlink()


@check
def ssl_with_certificates():
    import ssl

    context = ssl.create_default_context()
    return {
        "authorities": len(context.get_ca_certs()),
        "verify": context.verify_mode.name,
        "openssl": ssl.OPENSSL_VERSION,
    }


@check
def sqlite3():
    import sqlite3

    with sqlite3.connect(":memory:") as database:
        database.execute("create table t (a)")
        database.executemany("insert into t values (?)", [(1,), (2,)])
        return database.execute("select sum(a) from t").fetchone()[0]


@check
def ctypes_libc():
    return ctypes.CDLL("libc.so.6").abs(-5)


@check
def installed_paths():
    """`find_library` without gcc and ldconfig, and where a wheel's data files are."""
    import ctypes.util
    import sysconfig

    names = {name: ctypes.util.find_library(name) for name in ("c", "z", "glib-2.0", "nowhere")}
    loaded = [bool(ctypes.CDLL(name)) for name in names.values() if name is not None]
    return {"libraries": names, "loaded": loaded, "data": sysconfig.get_path("data"), "prefix": sys.prefix}


@check
def trimmed_modules():
    """The app imports one of numpy's packages of tests, so the bundle has it. It has no others."""
    import numpy
    import numpy.matrixlib.tests

    return {folder.parent.name: folder.is_dir() for folder in Path(numpy.__file__).parent.glob("*/tests")}


@check
def zoneinfo():
    import datetime
    import zoneinfo

    noon = datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Stockholm"))
    return noon.astimezone(datetime.timezone.utc).isoformat()


@check
def venv_is_explained():
    return subprocess.run([sys.executable, "-m", "venv", "x"], capture_output=True, text=True, check=False).stderr


@check
def compression():
    import bz2
    import lzma
    import zlib

    return [module.decompress(module.compress(b"x" * 99)) == b"x" * 99 for module in (bz2, lzma, zlib)]


@check
def hashes():
    import hashlib

    return hashlib.sha256(b"").hexdigest()


@check
def locale_is_utf8():
    return {"preferred": sys.flags.utf8_mode or __import__("locale").getpreferredencoding(), "text": "åäö"}


@check
def numpy():
    import numpy

    matrix = numpy.array([[4.0, 1.0], [2.0, 3.0]])
    values = sorted(numpy.linalg.eigvals(matrix).tolist())
    return {"version": numpy.__version__, "eigenvalues": values, "dot": float(numpy.dot(matrix, matrix)[0, 0])}


@check
def numpy_uses_openblas():
    import numpy  # noqa: F401

    return sorted(
        {line.split("/")[-1].strip() for line in open("/proc/self/maps") if "blas" in line or "lapack" in line}
    )


@check
def modules_import():
    """Import every module of the standard library, and return why some failed."""
    import importlib
    import warnings

    warnings.simplefilter("ignore")
    failed = {}
    for name in sorted(sys.stdlib_module_names):
        if name in ("antigravity", "this"):
            continue  # they print, or open a browser
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = str(error)
    return failed


@check
def traceback_lines():
    try:
        json.loads("{")
    except ValueError:
        return traceback.format_exc()


@check
def pyc_is_used():
    import decimal

    return {
        "own": Path(__file__).name,
        "stdlib": Path(decimal.__file__).name,
        "cached": Path(__import__("numpy").__cached__).exists(),
    }


@check
def camera_only_library():
    """Load GLib, which only the camera has, and call it."""
    glib = ctypes.CDLL("libglib-2.0.so.0")
    glib.g_ascii_strtoull.restype = ctypes.c_uint64
    value = glib.g_ascii_strtoull(b"4242", None, 10)
    glib.g_compute_checksum_for_string.restype = ctypes.c_char_p
    digest = glib.g_compute_checksum_for_string(2, b"camera", -1).decode()
    gobject = ctypes.CDLL("libgobject-2.0.so.0")
    gobject.g_type_from_name.restype = ctypes.c_size_t
    return {"value": value, "digest": digest, "type": gobject.g_type_from_name(b"GObject") > 0, "maps": loaded()}


def loaded():
    paths = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if line.count("/") and ".so" in line}
    return sorted(paths)


def main():
    results = {}
    names = sys.argv[1:]
    if names[0] == "--without":
        names = [name for name in CHECKS if name not in names]
    for name in names:
        try:
            results[name] = CHECKS[name]()
        except BaseException:
            results[name] = {"failed": traceback.format_exc()}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
