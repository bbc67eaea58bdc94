"""The list of the user's devices, and what else can name a device: hosts of ~/.ssh/config, and addresses."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from incamera.disk import write_atomic
from incamera.errors import ConfigError, UsageError
from incamera.home import find_home
from incamera.names import did_you_mean
from incamera.toml import decode_toml, parse_toml
from incamera.transport.device import Device, SshAddress, parse_address
from incamera.transport.host_keys import forget_keys
from incamera.transport.ssh_config import Place, find_hosts
from incamera.vapix.address import WebAddress, WebDevice

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def devices_file(folder: Path) -> Path:
    """Return the path of the list of devices."""
    return folder / "devices.toml"


def known_hosts_file(folder: Path) -> Path:
    """Return the path of our list of host keys."""
    return folder / "known_hosts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes:
    """The addresses of one camera, at least one of them: for SSH, and of its web server."""

    ssh: SshAddress | None = None
    web: WebAddress | None = None


def load_routes(folder: Path) -> dict[str, Routes]:
    """Return the addresses of the devices listed in *folder* (`<store>/devices`), by name. Raises ConfigError."""
    path = devices_file(folder)
    try:
        tables = parse_toml(decode_toml(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="correct it, or remove it and add the devices again"
        ) from error
    return {name: _parse_routes(name, table, path) for name, table in tables.items()}


def load_devices(folder: Path) -> dict[str, Device]:
    """Return the listed devices that have an address for SSH, by name. Raises ConfigError."""
    routes = load_routes(folder)
    return {name: Device(name=name, address=found.ssh) for name, found in routes.items() if found.ssh}


def load_web_devices(folder: Path) -> dict[str, WebDevice]:
    """Return the listed devices that have the address of a web server, by name. Raises ConfigError."""
    routes = load_routes(folder)
    return {name: WebDevice(name=name, address=found.web) for name, found in routes.items() if found.web}


def add_device(folder: Path, device: Device) -> None:
    """Add *device* to the list, or replace its address for SSH. Raises UsageError, ConfigError."""
    require_name(device.name)
    routes = load_routes(folder)
    _save(folder, routes | {device.name: replace(routes.get(device.name, Routes()), ssh=device.address)})


def add_web_device(folder: Path, device: WebDevice) -> None:
    """Add *device* to the list, or replace the address of its web server. Raises UsageError, ConfigError."""
    require_name(device.name)
    routes = load_routes(folder)
    _save(folder, routes | {device.name: replace(routes.get(device.name, Routes()), web=device.address)})


def require_name(name: str) -> None:
    """Raises UsageError when *name* cannot be the name of a device."""
    if not _NAME.fullmatch(name):
        raise UsageError(f'"{name}" cannot be the name of a device', hint="use letters, digits, dots and dashes")


def remove_device(folder: Path, name: str) -> Routes:
    """Remove the device *name*, and the host key that was accepted for it. Returns the addresses that it had.

    Raises UsageError when there is none.
    """
    routes = load_routes(folder)
    if name not in routes:
        hint = did_you_mean(name, routes) or "`incamera device list` shows the names"
        raise UsageError(f'there is no device "{name}"', hint=hint)
    removed = routes.pop(name)
    _save(folder, routes)
    if removed.ssh is not None:
        forget_keys(known_hosts_file(folder), removed.ssh.host, removed.ssh.port)
    return removed


def require_device(
    folder: Path, name: str, *, home: Path | None = None, others: Iterable[str] = (), origin: str = ""
) -> Device:
    """Return the device called *name*: one of the list, a Host of ~/.ssh/config, or an address.

    Raises UsageError, which suggests *others*, too. *origin* is the end of its message: who named the device.
    """
    routes = load_routes(folder)
    if name in routes:
        return Device(name=name, address=_require_ssh(name, routes[name]))
    is_host, hosts = find_hosts(Place(home=home or find_home(os.environ), environment=os.environ), name)
    if is_host:
        return Device(name=name, address=SshAddress(host=name))
    if "@" in name or ":" in name or "." in name or _is_ip_address(name) or name == "localhost":
        return Device(name=name, address=parse_address(name))
    raise UsageError(f'there is no device "{name}"{origin}', hint=_suggest(name, [*routes, *hosts, *others]))


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _suggest(name: str, known: Mapping[str, object] | list[str]) -> str:
    if hint := did_you_mean(name, known):
        return hint
    if not _NAME.fullmatch(name):
        add = "a name has letters, digits, dots and dashes"
        return f"choose one of: {', '.join(known)}" if known else add
    add = f"add it with `incamera device add {name} [USER@]HOST` or `… https://HOST`, or to ~/.ssh/config"
    return f"choose one of: {', '.join(known)}; or {add}" if known else add


def _require_ssh(name: str, routes: Routes) -> SshAddress:
    if routes.ssh is None:
        raise UsageError(
            f"{name} was added with the address of its web server alone, and this command needs SSH",
            hint=f"`incamera device add {name} [USER@]HOST` adds that. AXIS OS 12 and later have no root over SSH: "
            "there, `incamera install` installs the app as a package",
        )
    return routes.ssh


def require_web_device(folder: Path, name: str, *, origin: str = "") -> WebDevice:
    """Return the device *name* of the list, which must have the address of a web server. Raises UsageError.

    *origin* is the end of the message: who named the device.
    """
    routes = load_routes(folder)
    if name not in routes:
        hint = did_you_mean(name, routes) or f"add it with `incamera device add {name} https://HOST`"
        raise UsageError(f'there is no device "{name}" with a web server{origin}', hint=hint)
    found = routes[name].web
    if found is None:
        raise UsageError(
            f"{name} was added with its address for SSH alone, and this command needs its web server",
            hint=f"`incamera device add {name} https://HOST` adds that",
        )
    return WebDevice(name=name, address=found)


def _parse_routes(name: str, tables: Any, path: Path) -> Routes:
    """Return a device's addresses from its tables, one for each route: `[gate.ssh]`. Raises ConfigError."""
    if not isinstance(tables, dict) or not any(isinstance(table, dict) for table in tables.values()):
        raise ConfigError(
            f"{path}: [{name}.{SshAddress.route}] is missing",
            hint=f"`incamera device add {name} [USER@]HOST` writes it",
        )
    parsers: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
        SshAddress.route: SshAddress.from_table,
        WebAddress.route: WebAddress.from_table,
    }
    found: dict[str, Any] = {}
    for route, table in tables.items():
        where = f"{path}: [{name}.{route}]"
        if route not in parsers or not isinstance(table, dict):
            raise ConfigError(f"{where} is not a known route to a device")
        try:
            found[route] = parsers[route](table)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error
    return Routes(**found)


def _save(folder: Path, routes: Mapping[str, Routes]) -> None:
    import tomli_w  # lazy: only a device that is added or removed is written

    tables = {}
    for name, found in sorted(routes.items()):
        addresses = [address for address in (found.ssh, found.web) if address is not None]
        tables[name] = {address.route: address.to_table() for address in addresses}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(devices_file(folder), tomli_w.dumps(tables).encode())
