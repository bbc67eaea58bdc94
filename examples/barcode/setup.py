"""The C module. It uses only what every Python from 3.11 on has."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "ean13",
            ["ean13.c", "reader.c"],
            depends=["reader.h"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
        )
    ]
)
