"""Builds the module `capture`: Cython over a C file that calls VDO and larod."""

import subprocess

from Cython.Build import cythonize
from setuptools import Extension, setup


def pkg_config(option, *names):
    return subprocess.run(["pkg-config", option, *names], check=True, capture_output=True, text=True).stdout.split()


setup(
    py_modules=[],
    ext_modules=cythonize(
        [
            Extension(
                "capture",
                sources=["wrappers/capture.pyx", "src/frames.c"],
                include_dirs=["src"],
                libraries=["larod"],
                extra_compile_args=pkg_config("--cflags", "vdostream"),
                extra_link_args=pkg_config("--libs", "vdostream"),
            )
        ]
    ),
)
