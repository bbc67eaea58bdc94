"""Make the pictures of commands in the docs: what each prints, run in a terminal of 100 columns.

    python docs/images/make_screenshots.py [NAME ...]

It needs `make setup`. It runs a project in a temporary folder and, for `run` and `logs`, in a virtual camera of its own
that it stops at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from make_demo import HERE, draw, record

COLUMNS = 100
CAMERA = "frontdoor"
# By the name of the picture. They run in this order, all in one project. `logs` shows what `run` printed.
COMMANDS = {
    "lock-explain": ["incamera", "lock", "--explain", "numpy"],
    "audit": ["incamera", "audit", "--profile", "axis-os-10-armv7hf"],
    "profiles": ["incamera", "virtual", "profiles"],
    "help": ["incamera", "help"],
    "run": ["incamera", "run"],
    "logs": ["incamera", "logs"],
}
IN_CAMERA = ("run", "logs")
APP = """import logging

import numpy as np

print("numpy", np.__version__)
print("sum:", np.arange(1000).sum())
logging.warning("no light")
"""


def main() -> None:
    names = sys.argv[1:] or list(COMMANDS)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["INCAMERA_DEVICE"] = CAMERA
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["incamera", "new", "doorbell"], cwd=folder, check=True)
        project = Path(folder, "doorbell")
        (project / "app.py").write_text(APP)
        subprocess.run(["incamera", "lock"], cwd=project, check=True)
        for name, command in COMMANDS.items():
            if name in names and name not in IN_CAMERA:
                draw([(command, record(command, project, COLUMNS))], HERE / f"{name}.svg", COLUMNS)
        if not set(names) & set(IN_CAMERA):
            return
        subprocess.run(["incamera", "virtual", "start", "--name", CAMERA], cwd=project, check=True)
        try:
            for name in IN_CAMERA:
                screen = record(COMMANDS[name], project, COLUMNS)
                if name in names:
                    draw([(COMMANDS[name], screen)], HERE / f"{name}.svg", COLUMNS)
        finally:
            subprocess.run(["incamera", "virtual", "stop", CAMERA], check=False)


if __name__ == "__main__":
    main()
