"""Addresses of web servers: those that are typed, and those in the list of devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.device.registry import (
    add_device,
    add_web_device,
    load_devices,
    load_web_devices,
    remove_device,
    require_device,
    require_web_device,
)
from incamera.errors import ConfigError, UsageError
from incamera.transport.device import Device, SshAddress
from incamera.vapix.address import WebAddress, WebDevice, format_fingerprint, parse_fingerprint, parse_url

WEB = WebDevice(name="gate", address=WebAddress(host="192.0.2.7", certificate="ab" * 32, password_command="pass x"))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("https://192.0.2.7", "https://root@192.0.2.7"),
        ("https://joe@gate.example:8443/", "https://joe@gate.example:8443"),
        ("http://[fe80::1]:80", "http://root@[fe80::1]"),
    ],
)
def test_address_is_read(typed: str, shown: str) -> None:
    assert str(parse_url(typed)) == shown
    assert WebAddress.from_table(parse_url(typed).to_table()) == parse_url(typed)


@pytest.mark.parametrize(
    "typed",
    [
        *("ftp://x", "https://", "https://x/axis-cgi", "https://x?y", "https://x:port", "https://[::", "https://-x"),
        *("https://a%0d%0ab", "https://joe:se-cret@192.0.2.7", "https://a b", "https://j%22oe@x\r\ny"),
    ],
)
def test_other_address_is_refused_without_showing_a_password(typed: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_url(typed)
    assert "se-cret" not in str(error.value)


def test_fingerprint_may_have_colons() -> None:
    digest = "0f" * 32
    assert format_fingerprint(digest).startswith("0F:0F:")
    for text in (digest, digest.upper(), format_fingerprint(digest), f"SHA256:{digest}"):
        assert parse_fingerprint(text) == digest
    with pytest.raises(UsageError, match="is not the fingerprint"):
        parse_fingerprint("SHA256:XY06eBsv7uDsdZCOLFeH5tGe6940qMiHdAXmJX/y1eA")


def test_one_name_can_have_both_addresses(tmp_path: Path) -> None:
    ssh = Device(name="gate", address=SshAddress(host="192.0.2.7"))
    add_web_device(tmp_path, WEB)
    with pytest.raises(UsageError, match="needs SSH") as error:
        require_device(tmp_path, "gate")
    assert "`incamera install`" in str(error.value.hint)
    add_device(tmp_path, ssh)
    assert (load_devices(tmp_path), load_web_devices(tmp_path)) == ({"gate": ssh}, {"gate": WEB})
    assert require_web_device(tmp_path, "gate") == WEB
    remove_device(tmp_path, "gate")
    assert (load_devices(tmp_path), load_web_devices(tmp_path)) == ({}, {})


def test_command_for_a_web_server_names_what_is_missing(tmp_path: Path) -> None:
    add_device(tmp_path, Device(name="gate", address=SshAddress(host="192.0.2.7")))
    with pytest.raises(UsageError, match="for SSH alone"):
        require_web_device(tmp_path, "gate")
    with pytest.raises(UsageError, match="no device") as error:
        require_web_device(tmp_path, "gaet")
    assert "gate" in str(error.value.hint)


@pytest.mark.parametrize(
    "line",
    ['url = "https://x/y"', "url = 1", 'url = "https://x"\nother = 1', 'url = "https://x"\ncertificate = "x"', ""],
)
def test_damaged_list_of_devices_is_an_error_with_its_place(line: str, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(f"[gate.web]\n{line}\n")
    with pytest.raises(ConfigError, match=r"\[gate\.web\]"):
        load_web_devices(tmp_path)
