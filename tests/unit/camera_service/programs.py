"""Apps in processes of their own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.unit.acap_video.conftest import NEWEST, PACKAGE, STAND_INS

START = """
import json, sys, ctypes
ctypes.CDLL(sys.argv[1])
import acap
acap.__path__.append(sys.argv[2])
def tell(*words):
    print(json.dumps(words), flush=True)
"""
ASK = """
for line in sys.stdin:
    try:
        tell(eval(line))
    except acap.Error as error:
        tell(type(error).__name__, isinstance(error, ConnectionError), error.code)
"""
"""A program that tells the value of each expression, or what it raises."""


class Program:
    """An app with one of the camera's libraries."""

    def __init__(self, module: Path, library: str, code: str) -> None:
        words = [sys.executable, "-c", START + code, str(STAND_INS / NEWEST / library), str(module)]
        environment = os.environ | {"PYTHONPATH": str(PACKAGE / "src"), "ACAP_APP_NAME": "lamp"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe)
        self._told = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def told(self) -> Any:
        """Return what the app tells next; None at its end."""
        assert self.process.stdout
        while b"\n" not in self._told:
            if not select.select([self.process.stdout], [], [], 30)[0]:
                raise TimeoutError("the app tells nothing")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                return None
            self._told += part
        line, _, self._told = self._told.partition(b"\n")
        return json.loads(line)

    def say(self, line: str) -> Any:
        """Write a line to the app, and return what it tells."""
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.told()


def used(process: int) -> tuple[int, int]:
    """Return how many file descriptors and threads a process has."""
    folder = Path(f"/proc/{process}")
    return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))


def ticks(process: int) -> int:
    """Return the processor time that a process has used."""
    return sum(map(int, Path(f"/proc/{process}/stat").read_text().split()[13:15]))
