"""Programs of a deployed bundle, run in a camera by the tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.device.run import run_app
from incamera.device.streams import Streams
from incamera.transport.protocols import Program

if TYPE_CHECKING:
    from incamera.deployment.apply import Deployed


def run_python(done: Deployed, *words: str, stderr: bool = False) -> tuple[int, str]:
    """Run the bundle's Python with *words* in the app's folder. Return its exit code and what it printed.

    With *stderr*, what it prints to standard error is returned as well.
    """
    root = done.result.root
    program = Program((f"{root}/bin/python3", *words), folder=f"{root}/app")
    with Path(os.devnull).open("rb") as nothing, tempfile.TemporaryFile() as output:
        streams = Streams(nothing.fileno(), output.fileno(), *([output.fileno()] if stderr else []))
        code = run_app(done.session, done.guard.remote_path, program, streams=streams)
        output.seek(0)
        return code, output.read().decode("utf-8", "replace")
