"""The extension modules: one file of each for every Python from 3.11 on."""

from setuptools import Extension, setup


def extension(name: str, library: str, libraries: list[str]) -> Extension:
    return Extension(
        f"acap.{name}",
        [f"src/acap/{name}.pyx"],
        include_dirs=["src/acap"],
        depends=[f"src/acap/{library}.h", f"src/acap/{library}_functions.h", f"src/acap/{library}.pxd"],
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
        libraries=libraries,
        py_limited_api=True,
    )


setup(
    ext_modules=[extension("_video", "vdo", ["dl"]), extension("_inference", "larod", ["dl"])],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
