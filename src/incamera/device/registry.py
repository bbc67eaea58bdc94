"""The list of the user's devices, and what else can name a device: hosts of ~/.ssh/config, and addresses."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from incamera.disk import write_atomic
from incamera.errors import ConfigError, UsageError
from incamera.home import find_home
from incamera.names import did_you_mean
from incamera.toml import parse_toml
from incamera.transport.device import Device, SshAddress, parse_address
from incamera.transport.host_keys import forget_keys
from incamera.transport.ssh_config import Place, find_hosts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def devices_file(folder: Path) -> Path:
    """Return the path of the list of devices."""
    return folder / "devices.toml"


def known_hosts_file(folder: Path) -> Path:
    """Return the path of our list of host keys."""
    return folder / "known_hosts"


def load_devices(folder: Path) -> dict[str, Device]:
    """Return the devices listed in *folder* (`<store>/devices`), by name. Raises ConfigError."""
    path = devices_file(folder)
    try:
        tables = parse_toml(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="correct it, or remove it and add the devices again"
        ) from error
    return {name: _parse_device(name, table, path) for name, table in tables.items()}


def add_device(folder: Path, device: Device) -> None:
    """Add *device* to the list, or replace the one of the same name. Raises UsageError, ConfigError."""
    require_name(device.name)
    _save(folder, load_devices(folder) | {device.name: device})


def require_name(name: str) -> None:
    """Raises UsageError when *name* cannot be the name of a device."""
    if not _NAME.fullmatch(name):
        raise UsageError(f'"{name}" cannot be the name of a device', hint="use letters, digits, dots and dashes")


def remove_device(folder: Path, name: str) -> None:
    """Remove the device *name*, and the host key that was accepted for it. Raises UsageError when there is none."""
    devices = load_devices(folder)
    if name not in devices:
        hint = did_you_mean(name, devices) or "`incamera device list` shows the names"
        raise UsageError(f'there is no device "{name}"', hint=hint)
    device = devices.pop(name)
    _save(folder, devices)
    forget_keys(known_hosts_file(folder), device.address.host, device.address.port)


def require_device(
    folder: Path, name: str, *, home: Path | None = None, others: Iterable[str] = (), origin: str = ""
) -> Device:
    """Return the device called *name*: one of the list, a Host of ~/.ssh/config, or an address.

    Raises UsageError, which suggests *others*, too. *origin* is the end of its message: who named the device.
    """
    devices = load_devices(folder)
    if name in devices:
        return devices[name]
    is_host, hosts = find_hosts(Place(home=home or find_home(os.environ), environment=os.environ), name)
    if is_host:
        return Device(name=name, address=SshAddress(host=name))
    if "@" in name or ":" in name or "." in name or _is_ip_address(name) or name == "localhost":
        return Device(name=name, address=parse_address(name))
    raise UsageError(f'there is no device "{name}"{origin}', hint=_suggest(name, [*devices, *hosts, *others]))


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _suggest(name: str, known: Mapping[str, object] | list[str]) -> str:
    if hint := did_you_mean(name, known):
        return hint
    add = f"add it with `incamera device add {name} [USER@]HOST`, or to ~/.ssh/config"
    return f"choose one of: {', '.join(known)}; or {add}" if known else add


def _parse_device(name: str, tables: Any, path: Path) -> Device:
    """Return a device from its tables, one for each route: `[gate.ssh]`. Raises ConfigError."""
    where = f"{path}: [{name}.{SshAddress.route}]"
    if not isinstance(tables, dict) or not isinstance(tables.get(SshAddress.route), dict):
        raise ConfigError(f"{where} is missing", hint=f"`incamera device add {name} [USER@]HOST` writes it")
    if unknown := [route for route in tables if route != SshAddress.route]:
        raise ConfigError(f"{path}: [{name}.{unknown[0]}] is not a known route to a device")
    try:
        return Device(name=name, address=SshAddress.from_table(tables[SshAddress.route]))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _save(folder: Path, devices: Mapping[str, Device]) -> None:
    import tomli_w  # lazy: only a device that is added or removed is written

    tables = {name: {device.address.route: device.address.to_table()} for name, device in sorted(devices.items())}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(devices_file(folder), tomli_w.dumps(tables).encode())
