"""Replaces a module of the standard library that is of no use inside a camera. Using it raises ImportError."""

import sys

_MESSAGE = (
    "`@NAME@` is left out of this Python: packages are not installed in the camera. On your computer, add them to "
    "[project] dependencies in pyproject.toml, and type `incamera run`: the bundle then has them."
)

if __name__ == "__main__":
    sys.exit(_MESSAGE)
raise ImportError(_MESSAGE, name="@NAME@")
