"""Builds the module `through_c`: Cython over C files that call VDO, bbox and larod."""

import subprocess

from Cython.Build import cythonize
from setuptools import Extension, setup


def pkg_config(option, *names):
    return subprocess.run(["pkg-config", option, *names], check=True, capture_output=True, text=True).stdout.split()


LIBRARIES = ("vdostream", "bbox", "liblarod")
setup(
    py_modules=["app"],
    packages=["networks"],
    package_data={"networks": ["*.tflite"]},
    ext_modules=cythonize(
        [
            Extension(
                "through_c",
                sources=["wrappers/through_c.pyx", "src/video.c", "src/network.c"],
                include_dirs=["src"],
                extra_compile_args=["-Wall", *pkg_config("--cflags", *LIBRARIES)],
                extra_link_args=pkg_config("--libs", *LIBRARIES),
            )
        ]
    ),
)
