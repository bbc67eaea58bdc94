"""The files of a virtual camera's SSH server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
import pytest

from incamera.store import Store
from incamera.targets.profile import require_profile
from incamera.virtual.keys import ensure_keys
from incamera.virtual.ssh_server import STARTER, dropbear_members, openssh_members, openssh_packages

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.virtual.keys import CameraKeys

PROFILE = require_profile("axis-os-11-armv7hf")
LIBRARIES = f"usr/lib/{PROFILE.architecture.facts.gnu}"


@pytest.fixture
def keys(tmp_path: Path) -> CameraKeys:
    return ensure_keys(Store(tmp_path / "store"))


def write(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return folder


def test_libraries_of_openssh_are_where_no_app_finds_them(tmp_path: Path, keys: CameraKeys) -> None:
    userland = write(tmp_path / "userland", f"{LIBRARIES}/libc.so.6", "usr/sbin/dropbear")
    tree = write(
        tmp_path / "openssh",
        *("usr/sbin/sshd", "usr/lib/openssh/sshd-session", f"{LIBRARIES}/libc.so.6", f"{LIBRARIES}/libwrap.so.0"),
    )
    members = [member.path for member in openssh_members(tree, userland, PROFILE, keys)]
    assert {"usr/sbin/sshd", "usr/lib/openssh/sshd-session", "usr/lib/sshd/libwrap.so.0", STARTER} <= set(members)
    assert not [path for path in members if path.endswith("libc.so.6") or "dropbear" in path]


def test_both_servers_have_the_same_host_key(tmp_path: Path, keys: CameraKeys) -> None:
    userland = write(tmp_path / "userland", "usr/sbin/dropbear")
    key = asyncssh.import_private_key(keys.openssh_host)
    assert key.export_public_key("openssh").decode().split()[:2] == keys.host_public.split()[:2]
    assert STARTER in [member.path for member in dropbear_members(userland, PROFILE, keys)]


def test_packages_of_openssh_are_of_the_cameras_suite_and_architecture() -> None:
    packages = openssh_packages(PROFILE)
    assert (packages.suite, packages.architecture, packages.roots) == (PROFILE.suite, "armhf", ("openssh-server",))
