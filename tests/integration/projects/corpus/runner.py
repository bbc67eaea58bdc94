"""Runs in the camera, by the bundle's Python: loads each case of `cases.json` in a process of its own, and says what came of it.

Prints one JSON object: for each case null where it works, else the loader's, the kernel's or Python's own words.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable

PROBE = 42
SECONDS = 20


def load_library(path: str, _: str) -> str | None:
    given = ctypes.CDLL(path).probe()
    return None if given == PROBE else f"probe gave {given}"


def load_extension(folder: str, name: str) -> str | None:
    sys.path.insert(0, folder)
    module = importlib.import_module(name)
    return None if module.__name__.endswith(name.rpartition(".")[2]) else f"it is {module.__name__}"


def start_program(path: str, _: str) -> str | None:
    try:
        os.execv(path, [path])
    except OSError as error:
        return str(error)


def start_package(path: str, name: str) -> str | None:
    """Start it from where a camera installs it."""
    place = f"/usr/local/packages/{name}"
    if not os.path.lexists(place):
        os.symlink(os.path.dirname(path), place)
    return start_program(f"{place}/{os.path.basename(path)}", name)


HOW: dict[str, Callable[[str, str], str | None]] = {
    "library": load_library,
    "extension": load_extension,
    "wheel": load_extension,
    "program": start_program,
    "eap": start_package,
}


def attempt(how: str, path: str, name: str) -> str | None:
    """Try one case in a child, and return what went wrong, or None."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        signal.alarm(SECONDS)
        try:
            words = HOW[how](path, name)
        except BaseException as error:
            words = f"{type(error).__name__}: {error}"
        os.write(writing, (words or "").encode())
        os._exit(1 if words else PROBE)
    os.close(writing)
    said = b""
    while part := os.read(reading, 65536):
        said += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    if os.WEXITSTATUS(status) == PROBE:
        return None
    return said.decode("utf-8", "replace").strip() or f"it ended with {os.WEXITSTATUS(status)}"


def main() -> None:
    with open("cases.json") as stream:
        cases = json.load(stream)
    here = os.getcwd()
    print(
        json.dumps(
            {case["name"]: attempt(case["how"], os.path.join(here, case["path"]), case["load"]) for case in cases}
        )
    )


if __name__ == "__main__":
    main()
