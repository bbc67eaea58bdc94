from setuptools import setup

setup(cffi_modules=["build_it.py:ffi"])
