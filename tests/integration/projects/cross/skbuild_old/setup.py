from skbuild import setup
setup(packages=["old"])
