"""What the user calls a device: addresses, names written down, hosts of ~/.ssh/config."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.device.registry import (
    add_device,
    devices_file,
    known_hosts_file,
    load_devices,
    remove_device,
    require_device,
)
from incamera.errors import ConfigError, UsageError
from incamera.transport.device import Device, SshAddress, parse_address
from incamera.transport.ssh_config import Place, find_hosts


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("axiscam", None, "axiscam", None),
        ("192.168.0.90", None, "192.168.0.90", None),
        ("root@axiscam", "root", "axiscam", None),
        ("root@axiscam:2222", "root", "axiscam", 2222),
        ("me@example.com@gateway", "me@example.com", "gateway", None),
        ("[fe80::1%eth0]:22", None, "fe80::1%eth0", 22),
    ],
)
def test_address_is_parsed(text: str, user: str | None, host: str, port: int | None) -> None:
    address = parse_address(text)
    assert (address.user, address.host, address.port) == (user, host, port)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "a b", "@host", "host:", "host:70000", "-oProxyCommand=x", "a@b@", "ssh://root@a", "u:pw@a", "a/b"]
)
def test_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


def test_device_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    address = SshAddress(host="10.0.0.7", port=2222, user="root", keys=(Path("/k"),), host_key="ssh-ed25519 A")
    full = Device(name="gate", address=address)
    add_device(folder, full)
    add_device(folder, Device(name="door", address=SshAddress(host="axiscam")))
    assert load_devices(folder) == {"door": Device(name="door", address=SshAddress(host="axiscam")), "gate": full}
    remove_device(folder, "door")
    assert list(load_devices(folder)) == ["gate"]


def test_removed_device_is_unknown_again(tmp_path: Path) -> None:
    add_device(tmp_path, Device(name="gate", address=SshAddress(host="10.0.0.7", port=2222)))
    known_hosts_file(tmp_path).write_text("[10.0.0.7]:2222 ssh-ed25519 A\n10.0.0.7 ssh-ed25519 B\n")
    remove_device(tmp_path, "gate")
    assert known_hosts_file(tmp_path).read_text() == "10.0.0.7 ssh-ed25519 B\n"


def test_unknown_name_suggests_the_closest(tmp_path: Path) -> None:
    add_device(tmp_path, Device(name="doorbell", address=SshAddress(host="x")))
    for ask in (remove_device, lambda folder, name: require_device(folder, name, home=tmp_path)):
        with pytest.raises(UsageError) as caught:
            ask(tmp_path, "dorbell")
        assert caught.value.hint == 'did you mean "doorbell"?'


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x"])
def test_name_of_other_characters_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        add_device(tmp_path, Device(name=name, address=SshAddress(host="x")))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[a.ssh]\nport = 22\n", r"\[a.ssh\]: host is missing"),
        ('[a.ssh]\nhost = "x"\nport = "22"\n', r"\[a.ssh\]: port is not of the type int"),
        ('[a.ssh]\nhost = "x"\nother = 1\n', r"\[a.ssh\]: other is unknown"),
        ('[a]\nhost = "x"\n', r"\[a.ssh\] is missing"),
        ('[a.ssh]\nhost = "x"\n[a.tin-cans]\n', r"\[a.tin-cans\] is not a known route"),
        ("[", "Expected|Invalid|Unclosed"),
    ],
)
def test_damaged_list_of_devices_is_named(text: str, what: str, tmp_path: Path) -> None:
    devices_file(tmp_path).write_text(text)
    with pytest.raises(ConfigError, match=rf"devices\.toml.*({what})"):
        load_devices(tmp_path)


def test_name_is_looked_up_in_the_list_then_in_ssh_config_then_taken_for_an_address(tmp_path: Path) -> None:
    ssh = tmp_path / ".ssh"
    (ssh / "more").mkdir(parents=True)
    (ssh / "config").write_text("Include more/*\nHost axiscam gate *.example\n  User root\n")
    (ssh / "more" / "work").write_text("host=office\n")
    assert find_hosts(Place(home=tmp_path, environment={}), "x")[1] == ["office", "axiscam", "gate"]
    add_device(tmp_path, Device(name="gate", address=SshAddress(host="10.0.0.7")))
    assert require_device(tmp_path, "gate", home=tmp_path).address.host == "10.0.0.7"
    assert require_device(tmp_path, "axiscam", home=tmp_path) == Device(
        name="axiscam", address=SshAddress(host="axiscam")
    )
    assert require_device(tmp_path, "root@10.0.0.9:23", home=tmp_path).address.port == 23
    with pytest.raises(UsageError) as caught:
        require_device(tmp_path, "ofice", home=tmp_path)
    assert caught.value.hint == 'did you mean "office"?'
    with pytest.raises(UsageError) as caught:
        require_device(tmp_path, "axis-os-11-armv7h", home=tmp_path, others=["axis-os-11-armv7hf"])
    assert caught.value.hint == 'did you mean "axis-os-11-armv7hf"?'
