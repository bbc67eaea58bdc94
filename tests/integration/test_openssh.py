"""A virtual camera whose SSH server is OpenSSH, and a login shell that prints there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .cameras import OPENSSH_PROFILE, inside, on
from .project import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.virtual.camera import VirtualCamera

    from .command import Run

pytestmark = on(OPENSSH_PROFILE)

NOISY = r"""#!/bin/sh
printf '\033]0;camera\007Welcome to the camera.\nLast login: today'
printf 'mesg: no tty' >&2
exec /bin/sh "$@"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "greets", name="greets", app="print('first')\n")


def set_login_shell(camera: VirtualCamera, shell: str) -> None:
    inside(camera, f"sed -i 's|^root:\\(.*\\):[^:]*$|root:\\1:{shell}|' /etc/passwd")


def test_app_runs_over_openssh_whatever_the_login_shell_prints(
    incamera: Run, project: Path, camera: VirtualCamera
) -> None:
    assert "OpenSSH" in inside(camera, "/usr/sbin/sshd -V 2>&1 || LD_LIBRARY_PATH=/usr/lib/sshd /usr/sbin/sshd -V")
    words = ("-q", "-C", project, "--device", camera.name)
    done = incamera("run", *words)
    assert done.out == "first\n", done.err
    inside(camera, f"cat >/tmp/noisy <<'END'\n{NOISY}END\nchmod 755 /tmp/noisy")
    set_login_shell(camera, "/tmp/noisy")
    try:
        (project / "app.py").write_text("print('second')\n")
        done = incamera("run", *words)
        assert done.out == "second\n", done.err
        done = incamera("ps", "--device", camera.name)
        assert done.code == 0
        assert "Welcome" not in done.out
    finally:
        set_login_shell(camera, "/bin/sh")
