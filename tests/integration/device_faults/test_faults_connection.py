"""Errors while connecting to a camera."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.transport import ssh

from ..cameras import DEFAULT_PROFILE, OPENSSH_PROFILE, on
from ..command import assert_error
from .conftest import at_home, fingerprint

if TYPE_CHECKING:
    import pytest

    from incamera.virtual.camera import VirtualCamera

    from ..command import Run
    from ..line import Line


pytestmark = on(DEFAULT_PROFILE, matrix=[OPENSSH_PROFILE])


def test_error_when_nothing_answers(app: Path, incamera: Run, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = incamera("deploy", "-C", app, "--device", f"127.0.0.1:{port}", env=at_home(tmp_path))
    assert_error(done, 4, "cannot reach 127.0.0.1.*nothing answers", "is it on")
    assert done.out == ""


def test_error_when_a_device_does_not_speak(
    app: Path, incamera: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "WHOLE_SECONDS", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = incamera("deploy", "-C", app, "--device", address, env=at_home(tmp_path))
        assert_error(done, 4, "sends no SSH banner within 5 s", "is that its SSH port")


def test_error_for_an_unknown_name_or_host(app: Path, incamera: Run, tmp_path: Path) -> None:
    assert_error(
        incamera("deploy", "-C", app, "--device", "axis-os-11-armv7h", env=at_home(tmp_path)),
        2,
        'there is no device "axis-os-11-armv7h"',
    )
    assert_error(
        incamera("deploy", "-C", app, "--device", "camera.invalid", env=at_home(tmp_path)), 4, "no host called"
    )


def test_error_when_the_key_is_refused(app: Path, incamera: Run, home: Path) -> None:
    import asyncssh

    stranger = asyncssh.generate_private_key("ssh-ed25519")
    stranger.write_private_key(home / ".ssh" / "other")
    config = home / ".ssh" / "config"
    config.write_text(re.sub(r"IdentityFile .*", f"IdentityFile {home}/.ssh/other", config.read_text()))
    done = incamera("deploy", "-C", app, "--device", "cut", env=at_home(home))
    assert_error(done, 4, "does not let root in with any of your keys", "ssh-copy-id")


def test_error_for_a_changed_host_key_names_both_keys_and_the_line(
    app: Path, incamera: Run, home: Path, line: Line, camera: VirtualCamera
) -> None:
    import asyncssh

    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()
    known = home / ".ssh" / "known_hosts"
    known.write_text(f"# mine\n[127.0.0.1]:{line.port} {other}\n")
    done = incamera("deploy", "-C", app, "--device", "cut", env=at_home(home))
    both = [re.escape(fingerprint(camera.host_public_key)), re.escape(fingerprint(other))]
    assert_error(done, 4, "another host key than before", *both, f"{known}, line 2", "ssh-keygen -R")
    assert known.read_text().endswith(f"{other}\n")


def test_new_host_key_is_trusted_only_with_accept_key(
    incamera: Run, home: Path, line: Line, camera: VirtualCamera, tmp_path: Path
) -> None:
    (home / ".ssh" / "known_hosts").unlink()
    env = at_home(home) | {"INCAMERA_STORE": str(tmp_path / "store")}
    shown = fingerprint(camera.host_public_key)
    assert_error(
        incamera("device", "add", "cut", env=env),
        4,
        "is not known yet",
        re.escape(shown),
        f"accept-key {re.escape(shown)}",
    )
    wrong = shown[:-1] + ("A" if shown[-1] != "A" else "B")
    assert_error(incamera("device", "add", "cut", "--accept-key", wrong, env=env), 4, re.escape(shown))
    assert json.loads(incamera("device", "list", "--json", env=env).out)["devices"] == []
    done = incamera("device", "add", "cut", "--accept-key", shown, "--json", env=env)
    assert done.code == 0, done.err
    assert json.loads(done.out)["facts"]["architecture"] == "armv7l"
    assert incamera("device", "info", "cut", env=env).code == 0
