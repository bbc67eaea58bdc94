"""The folder in which an app keeps its data: in the camera, and on the developer's computer."""

from __future__ import annotations

import os
import sys

DATA_VARIABLE = "INCAMERA_DATA"
# On a computer: in the project's folder.
_HERE = ".incamera"


def data_folder() -> str:
    """Return the path of the app's data folder, which is made if it is not there.

    In a camera, incamera names it in the variable INCAMERA_DATA. On a computer it is `.incamera/data` in the folder of
    the project: the nearest one with a pyproject.toml, from the script's folder up, else the script's own. Raises
    OSError where it cannot be made.
    """
    path = os.environ.get(DATA_VARIABLE)
    if not path:
        return _make_here()
    if not os.path.isabs(path):
        raise OSError(f"{DATA_VARIABLE} must be an absolute path, and is {path!r}")
    # The guard has made it before the app started, and has looked whose the folders are that it is in.
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    return path


def _make_here() -> str:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    start = os.path.dirname(os.path.abspath(main)) if main else os.getcwd()
    folder = start
    while not os.path.isfile(os.path.join(folder, "pyproject.toml")):
        if folder == os.path.dirname(folder):
            folder = start
            break
        folder = os.path.dirname(folder)
    own = os.path.join(folder, _HERE)
    path = os.path.join(own, "data")
    os.makedirs(path, exist_ok=True)
    ignored = os.path.join(own, ".gitignore")
    if not os.path.exists(ignored):
        with open(ignored, "w", encoding="utf-8") as stream:
            stream.write("*\n")
    return path
