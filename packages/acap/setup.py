"""The extension modules: one file of each for every Python from 3.11 on."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent
SHARED = ("library.h", "glib.h", "messages.h")


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
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
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
    "_events": "axevent",
    "_parameters": "axparameter",
    "_mdb": "mdb",
    "_datahub": "datahub",
    "_context": "context",
}
setup(
    # The C files that Cython writes are no sources: they stay out of src.
    ext_modules=cythonize(
        [extension(name, library, ["dl"]) for name, library in MODULES.items()], build_dir="build/cython", quiet=True
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
