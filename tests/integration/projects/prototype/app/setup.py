"""Builds the module `exposure`. In the container, /include has a folder with the headers of each package."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

packages = [str(folder) for folder in Path("/include").iterdir()]

setup(
    name="exposure_demo",
    ext_modules=cythonize(
        [
            Extension(
                "exposure",
                sources=["wrappers/exposure.pyx", "src/histogram.c"],
                include_dirs=["src", *packages],
            )
        ]
    ),
)
