"""A virtual camera, and an app that fails in the way its first argument says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..cameras import inside, lease_camera, write_ssh_home
from ..line import Line
from ..project import write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..command import Finished, Run


APP = """
import os, signal, sys, time
def main(what, *rest):
    if what == "raise":
        raise ValueError("what the app says")
    if what == "exit":
        sys.exit(3)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "flood":
        line = "x" * 999
        while True:
            print(line)
    if what == "read":
        data = sys.stdin.buffer.read()
        print(len(data), data[-4:])
    if what == "lines":
        for line in sys.stdin:
            print("got", line.strip(), flush=True)
    if what == "sleep":
        print("sleeps as", os.getpid(), flush=True)
        time.sleep(1000)
    if what == "stubborn":
        signal.signal(signal.SIGINT, lambda *_: print("not yet", flush=True))
        print("ignores it", flush=True)
        while True:
            time.sleep(1)
    if what == "family":
        import subprocess
        child = subprocess.Popen(["sleep", "4321"])
        print("parent of", child.pid, flush=True)
        time.sleep(1000)
    if what == "print":
        print(*rest)
        print("to standard error", file=sys.stderr)
main(*sys.argv[1:])
"""


camera = pytest.fixture(scope="package", name="camera")(lease_camera)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("apps") / "faulty", app=APP, name="faulty")


@pytest.fixture(scope="package", autouse=True)
def run_app(camera: VirtualCamera, app: Path, incamera: Run) -> Run:
    # It brings the runtime, so that the other deploys of the tests need not send it.
    assert incamera("deploy", "-C", app, "--device", camera.name).code == 0

    def run(*words: str, **options: object) -> Finished:
        return incamera("run", "-q", "-C", app, "--device", camera.name, "--", *words, **options)

    return run


def left_in(camera: VirtualCamera, what: str) -> str:
    """Return the command lines in the camera that have *what* in them."""
    script = 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline 2>/dev/null && echo; done'
    return "\n".join(line for line in inside(camera, script).splitlines() if what in line and "/proc/" not in line)


def fingerprint(key: str) -> str:
    import asyncssh

    return asyncssh.import_public_key(key).get_fingerprint()


@pytest.fixture
def line(camera: VirtualCamera) -> Iterator[Line]:
    line = Line(camera.ssh_port)
    yield line
    line.close()


@pytest.fixture
def home(tmp_path: Path, camera: VirtualCamera, line: Line) -> Path:
    """The home of a user who reaches the camera as `cut`, over a line that can be cut."""
    home = tmp_path / "home"
    write_ssh_home(home, "cut", camera, port=line.port)
    return home


def at_home(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "SSH_AUTH_SOCK": ""}
