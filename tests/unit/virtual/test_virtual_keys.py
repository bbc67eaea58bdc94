"""The SSH keys of virtual cameras."""

from __future__ import annotations

import struct
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from incamera.store import Store
from incamera.virtual.keys import ensure_keys


def strings(data: bytes) -> list[bytes]:
    found = []
    while data:
        (size,) = struct.unpack(">I", data[:4])
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def test_keys_are_made_once_and_only_the_user_can_read_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = ensure_keys(store)
    assert ensure_keys(store) == keys
    assert keys.login.stat().st_mode & 0o777 == 0o600
    assert keys.login.parent.stat().st_mode & 0o777 == 0o700
    assert ensure_keys(Store(tmp_path / "other")).host != keys.host


def test_login_key_has_openssh_format(tmp_path: Path) -> None:
    keys = ensure_keys(Store(tmp_path))
    private = load_ssh_private_key(keys.login.read_bytes(), None)
    assert private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() == keys.login_public


def test_host_key_has_dropbears_format_and_matches_its_public_key(tmp_path: Path) -> None:
    keys = ensure_keys(Store(tmp_path))
    algorithm, secret = strings(keys.host)
    assert (algorithm, len(secret)) == (b"ssh-ed25519", 64)
    seed, public = secret[:32], secret[32:]
    assert Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() == public
    kind, blob = keys.host_public.split()
    assert kind == "ssh-ed25519"
    assert strings(b64decode(blob)) == [b"ssh-ed25519", public]


def test_keys_are_made_again_when_one_file_is_missing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = ensure_keys(store)
    keys.login.with_name("virtual_login.pub").unlink()
    again = ensure_keys(store)
    private = load_ssh_private_key(again.login.read_bytes(), None)
    assert private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() == again.login_public


@pytest.mark.parametrize("name", ["virtual_login", "virtual_login.pub", "virtual_host", "virtual_host.pub"])
@pytest.mark.parametrize("size", [0, 10, -10])
def test_damaged_keys_are_made_again(tmp_path: Path, name: str, size: int) -> None:
    store = Store(tmp_path)
    keys = ensure_keys(store)
    path = tmp_path / "keys" / name
    path.write_bytes(path.read_bytes()[:size])
    again = ensure_keys(store)
    assert again.login_public != keys.login_public
    assert ensure_keys(store) == again
    assert again.login.stat().st_mode & 0o777 == 0o600
