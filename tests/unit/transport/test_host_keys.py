"""Host keys: found with their lines, in every form that OpenSSH writes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import asyncssh
import pytest

from incamera.device.registry import add_device, known_hosts_file, remove_device
from incamera.transport.device import Device, SshAddress
from incamera.transport.host_keys import HostKeyChecker, UnknownHostKey, accept_key, find_keys

KEY = asyncssh.generate_private_key("ssh-ed25519")
TEXT = KEY.export_public_key("openssh").decode().strip()


DEVICE = Device(name="camera", address=SshAddress(host="camera"))


def accept(device: Device, ours: Path, host: str, port: int) -> None:
    """Meet *device* at *host* for the first time, and trust it."""
    checker = HostKeyChecker(device, [])
    checker.match(host, "", port)
    checker.refuse(KEY.convert_to_public())
    assert isinstance(checker.refusal, UnknownHostKey)
    accept_key(ours, checker.refusal.key)


def hashed(name: str) -> str:
    salt = b"12345678901234567890"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("name", ["camera", "other,camera", "10.0.0.7", "cam*", hashed("camera")])
def test_key_is_found_with_its_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# camera\nsomeone {TEXT}\ncamera not-a-key\n{name} {TEXT}\n")
    (found,) = find_keys(file, "camera", "10.0.0.7", None)
    assert found.key == KEY.convert_to_public()
    assert found.source == f"{file}, line 4"


def test_key_of_another_port_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"[camera]:2222 {TEXT}\n")
    assert find_keys(file, "camera", "", 2222)
    assert not find_keys(file, "camera", "", None)
    file.write_text(f"camera {TEXT}\n")
    assert not find_keys(file, "camera", "", 2222)


def test_missing_file_has_no_keys(tmp_path: Path) -> None:
    assert find_keys(tmp_path / "nowhere", "camera", "", None) == []


def test_revoked_key_is_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@revoked camera {TEXT}\n")
    checker = HostKeyChecker(DEVICE, [file])
    trusted, _, revoked, *_ = checker.match("camera", "", 22)
    assert (trusted, len(revoked)) == ([], 1)


def test_accepted_key_is_found_again(tmp_path: Path) -> None:
    ours = tmp_path / "devices" / "known_hosts"
    for port in (22, 2222):
        accept(DEVICE, ours, "camera", port)
        assert HostKeyChecker(DEVICE, [ours]).match("camera", "", port)[0]
    assert [line.split()[0] for line in ours.read_text().splitlines()] == ["camera", "[camera]:2222"]


def test_key_accepted_under_a_name_of_ssh_config_is_forgotten_by_that_name(tmp_path: Path) -> None:
    ours = known_hosts_file(tmp_path)
    for name, address in (("axiscam", "192.0.2.10"), ("other", "192.0.2.11")):
        device = Device(name=name, address=SshAddress(host=name))
        add_device(tmp_path, device)
        accept(device, ours, address, 2222)  # HostName and Port of ~/.ssh/config
        assert find_keys(ours, address, "", 2222)
    remove_device(tmp_path, "axiscam")
    assert not find_keys(ours, "192.0.2.10", "", 2222)
    assert find_keys(ours, "192.0.2.11", "", 2222)
