"""Shares: their files in the store, mount options, the kernel's errors, Samba's settings."""

from __future__ import annotations

import errno
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from incamera.errors import ConfigError, DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, UsageError
from incamera.share.md4 import md4, nt_hash
from incamera.share.mounts import explain_mount, find_mount, plan_mount
from incamera.share.registry import MARKER, ensure_marker, load_shares, remove_share, require_share, save_share
from incamera.share.smb import plan_smb
from incamera.share.values import Protocol, Share, require_address, require_name, require_user
from incamera.targets.host import Host

SHARE = Share(
    name="lab",
    folder=Path("/home/me/lab"),
    protocol=Protocol.smb,
    address="192.0.2.1",
    port=4450,
    path="lab",
    user="camera",
    password="a,b c",
    served=True,
)


@pytest.mark.parametrize(
    ("text", "digest"),
    [  # RFC 1320, A.5
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        ("a", "bde52cb31de33e46245e05fbdbd6fb24"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
        ("message digest", "d9130a8164549fe818874806e1c7014b"),
        ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "043f8582f241db351ce627e153e7f0e4"),
        ("1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4_matches_the_rfcs_test_vectors(text: str, digest: str) -> None:
    assert md4(text.encode()).hex() == digest


def test_nt_hash_of_password_is_the_well_known_one() -> None:
    assert nt_hash("password") == "8846F7EAEE8FB117AD06BDD830B7586C"


def test_repr_of_a_share_hides_the_password() -> None:
    assert SHARE.password not in repr(SHARE)


def test_only_the_user_can_read_saved_shares(tmp_path: Path) -> None:
    nas = replace(SHARE, name="nas", protocol=Protocol.nfs, user=None, password="", served=False)
    save_share(tmp_path / "shares", SHARE)
    save_share(tmp_path / "shares", nas)
    assert load_shares(tmp_path / "shares") == {"lab": SHARE, "nas": nas}
    assert stat.S_IMODE((tmp_path / "shares" / "lab.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "shares").stat().st_mode) == 0o700


def test_only_share_is_found_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no share"):
        require_share(tmp_path, None)
    save_share(tmp_path, SHARE)
    assert require_share(tmp_path, None) == SHARE
    with pytest.raises(UsageError) as caught:
        require_share(tmp_path, "lap")
    assert caught.value.hint == 'did you mean "lab"?'
    save_share(tmp_path, replace(SHARE, name="garden"))
    with pytest.raises(UsageError, match="garden, lab"):
        require_share(tmp_path, None)
    remove_share(tmp_path, "garden")
    assert require_share(tmp_path, None) == SHARE


@pytest.mark.parametrize("text", ['port = "many"', "colour = 1", "not toml", 'folder = "/x"', 'protocol = "ftp"'])
def test_damaged_file_of_a_share_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"lab\.toml"):
        load_shares(tmp_path)


def test_marker_of_a_folder_stays_the_same(tmp_path: Path) -> None:
    share = replace(SHARE, folder=tmp_path)
    marker = ensure_marker(share)
    assert len(marker) == 32
    assert ensure_marker(share) == marker
    assert (tmp_path / MARKER).read_text().strip() == marker


@pytest.mark.parametrize("name", ["", "a/b", "-a", "global", "Homes", "a b", "x" * 64, "ä"])
def test_invalid_share_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        require_name(name)


@pytest.mark.parametrize("user", ["", "a,b", "a=b", "a\nb", "*"])
def test_invalid_user_is_refused(user: str) -> None:
    with pytest.raises(UsageError):
        require_user(user)


# Mounts


def test_comma_in_a_password_is_escaped() -> None:
    mount = plan_mount(SHARE, address="10.0.2.100", port=445, client="10.0.2.15")
    assert (mount.kind, mount.source) == ("cifs", "//10.0.2.100/lab")
    assert mount.options.startswith("ip=10.0.2.100,port=445,vers=3.0,username=camera,password=a,,b c,file_mode=")


@pytest.mark.parametrize("address", ["", "a b", "smb://nas/data", "nas/data", "nas:445", "-a", "me@nas"])
def test_address_of_a_share_is_a_host_alone(address: str) -> None:
    with pytest.raises(UsageError):
        require_address(address)


@pytest.mark.parametrize("address", ["nas", "nas.example", "192.0.2.5", "::1", "fe80::1%eth0", "0.0.0.0"])
def test_host_name_or_ip_address_is_the_address_of_a_share(address: str) -> None:
    assert require_address(address) == address


def test_share_without_a_user_is_mounted_as_guest() -> None:
    options = plan_mount(replace(SHARE, user=None, password=""), address="h", port=445, client="c").options.split(",")
    assert {"guest", "sec=none"} <= set(options)
    assert not any(word.startswith("password") for word in options)


def test_password_of_two_lines_is_refused() -> None:
    with pytest.raises(UsageError):
        plan_mount(replace(SHARE, password="a\nport=1"), address="h", port=445, client="c")


def test_nfs_mount_options_have_both_addresses_and_the_port() -> None:
    share = replace(SHARE, protocol=Protocol.nfs, path="/srv/lab")
    mount = plan_mount(share, address="192.0.2.1", port=12049, client="192.0.2.7")
    assert (mount.kind, mount.source) == ("nfs4", "192.0.2.1:/srv/lab")
    assert {"addr=192.0.2.1", "clientaddr=192.0.2.7", "port=12049", "vers=4.2"} <= set(mount.options.split(","))


def test_find_mount_returns_the_last_mount() -> None:
    mounts = "proc /proc proc rw 0 0\n//h/a /share cifs rw 0 0\n//h/b\\040c /share cifs rw 0 0\n"
    assert find_mount(mounts, "/share") == ("//h/b c", "cifs")
    assert find_mount(mounts, "/sha") is None
    assert find_mount("tmpfs /a\x0c//evil /share cifs rw 0 0\n", "/share") is None


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.EACCES, DeviceRefused, "password"),
        (errno.ENODEV, DeviceUnsuitable, "kernel of porch"),
        (errno.ENOENT, DeviceError, 'no share "lab"'),
        (errno.EHOSTUNREACH, DeviceUnreachable, "cannot reach"),
        (errno.EBUSY, DeviceError, "cannot mount lab on porch: cannot mount //h/lab: Device or resource busy"),
    ],
)
def test_mount_error_follows_from_the_kernels_error_number(code: int, kind: type[DeviceError], words: str) -> None:
    text = "cannot mount //h/lab: Device or resource busy"
    error = explain_mount(SHARE, code, text, device="porch", address="h", port=445)
    assert type(error) is kind
    assert words in str(error)


# The server's settings


def test_samba_uses_only_its_private_folder_and_address(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    for name in ("usr/lib64/ld.so.2", "usr/sbin/smbd"):
        (tools / name).parent.mkdir(parents=True, exist_ok=True)
        (tools / name).touch()
    host = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld.so.2")
    plan = plan_smb(SHARE, tools, host, tmp_path / "private")
    settings = {
        key.strip(): value.strip()
        for key, equals, value in (line.partition("=") for line in plan.files["smb.conf"].splitlines())
        if equals
    }
    assert settings["interfaces"] == "192.0.2.1"
    assert settings["bind interfaces only"] == "yes"
    assert settings["smb ports"] == "4450"
    assert settings["path"] == f"{tmp_path}/private/folder"
    places = [value for key, value in settings.items() if key.endswith((" directory", " dir"))]
    assert len(places) == 6
    assert all(place.startswith(f"{tmp_path}/private/") for place in places)
    assert nt_hash(SHARE.password) in plan.files["private/smbpasswd"]
    assert not any(SHARE.password in text for text in (*plan.files.values(), *plan.argv))
    everywhere = plan_smb(replace(SHARE, address="0.0.0.0"), tools, host, tmp_path / "private")
    assert "bind interfaces only = no" in everywhere.files["smb.conf"]
