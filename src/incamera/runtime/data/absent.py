"""Stands where the standard library has a module that makes no sense inside a camera; says so when it is used."""

import sys

_MESSAGE = (
    "`@NAME@` is left out of this Python: a camera has no room for virtual environments, and nothing to install "
    "packages with. On your computer, name what you need in [project] dependencies of pyproject.toml and type "
    "`incamera run`: the packages are put into the bundle."
)

if __name__ == "__main__":
    sys.exit(_MESSAGE)
raise ImportError(_MESSAGE, name="@NAME@")
