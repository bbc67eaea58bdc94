import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

setup(ext_modules=cythonize([Extension("sizes", ["sizes.pyx"], include_dirs=[numpy.get_include()])]))
