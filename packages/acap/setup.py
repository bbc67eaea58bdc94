"""The extension modules: one file of each for every Python from 3.11 on."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent
SHARED = ("library.h", "glib.h", "messages.h")


# What a module of the limited API would ask of `inspect` when it is loaded. Python has never changed these numbers.
CODE_FLAGS = {
    "CO_OPTIMIZED": "0x0001",
    "CO_NEWLOCALS": "0x0002",
    "CO_VARARGS": "0x0004",
    "CO_VARKEYWORDS": "0x0008",
    "CO_GENERATOR": "0x0020",
    "CO_COROUTINE": "0x0080",
    "CO_ASYNC_GENERATOR": "0x0200",
}


def extension(name: str, library: str, libraries: list[str]) -> Extension:
    return Extension(
        f"acap.{name}",
        [f"src/acap/{name}.pyx"],
        include_dirs=["src/acap"],
        depends=[
            f"src/acap/{part}"
            for part in (
                "library.h",
                "glib.h",
                "messages.h",
                *(library + end for end in (".h", "_functions.h", ".pxd")),
            )
            if (HERE / "src/acap" / part).exists()
        ],
        define_macros=[("Py_LIMITED_API", "0x030B0000"), *CODE_FLAGS.items()],
        libraries=libraries,
        py_limited_api=True,
    )


MODULES = {
    "_video": "vdo",
    "_inference": "larod",
    "_bbox": "bbox",
    "_license": "licensekey",
    "_storage": "axstorage",
    "_overlay": "axoverlay2",
    "_axoverlay": "axoverlay",
    "_events": "axevent",
    "_parameters": "axparameter",
    "_mdb": "mdb",
    "_datahub": "datahub",
    "_context": "context",
}


def without_inspect(extensions: list[Extension]) -> list[Extension]:
    """Let the C files that Cython wrote load no `inspect`, which takes longer than all else of the import.

    They load it for the flags above alone, and need some module in its place.
    """
    for path in (Path(source) for extension in extensions for source in extension.sources):
        text = path.read_text("utf-8")
        if 'PyImport_ImportModule("inspect")' in text:
            path.write_text(text.replace('PyImport_ImportModule("inspect")', 'PyImport_ImportModule("sys")'), "utf-8")
    return extensions


# The C files that Cython writes are no sources: they stay out of src.
C_FILES = cythonize(
    [extension(name, library, ["dl"]) for name, library in MODULES.items()], build_dir="build/cython", quiet=True
)
setup(
    ext_modules=without_inspect(C_FILES),
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
