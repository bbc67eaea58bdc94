"""Host keys: found with their lines, in every form that OpenSSH writes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
from pathlib import Path

import asyncssh
import pytest

from incamera.device.registry import add_device, known_hosts_file, remove_device
from incamera.errors import ConfigError
from incamera.transport.device import Device, SshAddress
from incamera.transport.host_keys import HostKeyChecker, UnknownHostKey, accept_key, find_keys
from incamera.transport.revoked_keys import load_revoked

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
    trusted, *_ = checker.match("camera", "", 22)
    assert trusted == []


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


# Keys that are revoked, and keys that sign others


def refusal_of(checker: HostKeyChecker, key: asyncssh.SSHKey = KEY) -> str:
    """Return why *checker* does not trust *key*."""
    trusted, *_ = checker.match("camera", "", None)
    assert key.convert_to_public() not in trusted
    checker.refuse(key.convert_to_public())
    return str(checker.refusal)


def make_revocation_list(folder: Path, *options: str, text: str = TEXT) -> Path:
    """Return a file of `ssh-keygen -k` that revokes the key *text*."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("this computer has no ssh-keygen")
    (folder / "spec").write_text(text + "\n")
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", "list", "-z", "7", "-s", *options, "spec"], cwd=folder, check=True)
    return folder / "list"


@pytest.mark.starts_processes
@pytest.mark.parametrize("form", ["", "sha1: ", "sha256: ", "hash: "])
def test_key_of_a_revocation_list_is_refused_though_it_is_known(form: str, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(f"camera {TEXT}\n")
    (tmp_path / "ca.pub").write_text(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())
    text = form + TEXT
    if form == "hash: ":
        text = f"hash: {KEY.get_fingerprint()}"
    revoked = load_revoked(make_revocation_list(tmp_path, "ca.pub", text=text))
    checker = HostKeyChecker(DEVICE, [tmp_path / "known_hosts"], revoked=revoked)
    assert f"that is revoked: ssh-ed25519 {KEY.get_fingerprint()} (RevokedHostKeys {tmp_path}/list)" in refusal_of(
        checker
    )
    other = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    assert not revoked.has(other)


def test_key_of_a_list_of_public_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "revoked").write_text(f"# stolen\n\n{TEXT} camera\n")
    assert "revoked" in refusal_of(HostKeyChecker(DEVICE, [], revoked=load_revoked(tmp_path / "revoked")))


@pytest.mark.parametrize("data", [None, b"no key\n", b"SSHKRL\n\0", b"SSHKRL\n\0" + bytes(28) + b"\0\0\0\x09short"])
def test_list_of_revoked_keys_that_cannot_be_read_is_named(data: bytes | None, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "revoked").write_bytes(data)
    with pytest.raises(ConfigError, match=f"RevokedHostKeys of ~/.ssh/config names {tmp_path}/revoked, which cannot"):
        load_revoked(tmp_path / "revoked")


def test_key_that_known_hosts_revokes_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(f"camera {TEXT}\n@revoked * {TEXT}\n")
    assert f"that is revoked: ssh-ed25519 {KEY.get_fingerprint()} ({tmp_path}/known_hosts, line 2)" in refusal_of(
        HostKeyChecker(DEVICE, [tmp_path / "known_hosts"])
    )


def test_key_that_signs_others_is_no_other_key_of_the_host(tmp_path: Path) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    (tmp_path / "known_hosts").write_text(f"@cert-authority * {authority}")
    checker = HostKeyChecker(DEVICE, [tmp_path / "known_hosts"])
    assert checker.match("camera", "", None)[1]
    assert "is not known yet" in refusal_of(checker)


def test_key_is_revoked_at_one_port_and_signed_at_any(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@revoked [camera]:2222 {TEXT}\n@cert-authority cam* {TEXT}\n* {TEXT}\n")
    found = [(known.revoked, known.authority) for known in find_keys(file, "camera", "", 2222)]
    assert found == [(True, False), (False, True), (False, False)]
    found = [(known.revoked, known.authority) for known in find_keys(file, "camera", "", None)]
    assert found == [(False, True), (False, False)]
