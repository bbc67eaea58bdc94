"""The extension module: one file for every Python from 3.11 on."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "acap._video",
            ["src/acap/_video.pyx"],
            include_dirs=["src/acap"],
            depends=["src/acap/vdo.h", "src/acap/vdo_functions.h", "src/acap/vdo.pxd"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            libraries=["dl"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
