"""What a camera says of itself: whether it is ready, which product it is, and which APIs it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceError
from incamera.vapix.documents import find_table, find_text

if TYPE_CHECKING:
    from incamera.vapix.client import Client

_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,6}){1,4}")
_MOST_APIS = 1000


@dataclass(frozen=True, slots=True)
class SystemReady:
    """The state of a camera. *passphrase_policy* is what the first account must obey: "none", "length", "complex".

    *uptime* is in seconds; None where an older AXIS OS does not say it.
    """

    is_ready: bool
    needs_setup: bool
    uptime: int | None = None
    boot_id: str = ""
    passphrase_policy: str = ""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A product: *number* is P3245-LVE, *name* AXIS P3245-LVE Dome Camera, *version* that of its AXIS OS.

    *architecture* and *soc* are "" where only a login shows them, and there was none.
    """

    number: str
    name: str
    version: str
    serial: str
    architecture: str = ""
    soc: str = ""

    @property
    def generation(self) -> str:
        """The first number of its AXIS OS: `12`."""
        return self.version.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Api:
    """An API that a camera has: `ssh`, version `1.0`."""

    id: str
    version: str
    status: str


def read_system_ready(client: Client) -> SystemReady:
    """Return the state of the camera; this needs no login. Raises DeviceError."""
    document = {"apiVersion": "1", "method": "systemready"}
    return parse_system_ready(client.ask_json("axis-cgi/systemready.cgi", "say whether it is ready", document))


def parse_system_ready(document: dict[str, Any]) -> SystemReady:
    data = find_table(document, "data")
    uptime = find_text(data, "uptime")
    return SystemReady(
        is_ready=find_text(data, "systemready") == "yes",
        needs_setup=find_text(data, "needsetup") == "yes",
        uptime=int(uptime) if uptime.isascii() and uptime.isdecimal() and len(uptime) < 12 else None,
        boot_id=find_text(data, "bootid")[:100],
        passphrase_policy=find_text(data, "passphrasepolicy")[:100],
    )


def read_device_info(client: Client, *, logged_in: bool = True) -> DeviceInfo:
    """Return what the camera is; without a login, without its architecture. Raises DeviceError."""
    method = "getAllProperties" if logged_in else "getAllUnrestrictedProperties"
    document = {"apiVersion": "1.0", "method": method}
    found = parse_device_info(client.ask_json("axis-cgi/basicdeviceinfo.cgi", "say what it is", document))
    if not found.version:
        raise DeviceError(
            f"{client.device} does not say which AXIS OS it has",
            hint=f"check that {client.device.address.url} is an Axis camera",
        )
    return found


def parse_device_info(document: dict[str, Any]) -> DeviceInfo:
    """Return what *document* says; *version* is "" for what is no version."""
    table = find_table(document, "data", "propertyList")

    def text(key: str) -> str:
        return find_text(table, key)[:200]

    return DeviceInfo(
        number=text("ProdNbr"),
        name=text("ProdFullName"),
        version=text("Version") if _VERSION.fullmatch(text("Version")) else "",
        serial=text("SerialNumber"),
        architecture=text("Architecture"),
        soc=text("Soc"),
    )


def read_apis(client: Client) -> tuple[Api, ...]:
    """Return the APIs that the camera lists, sorted by their names. Raises DeviceError."""
    document = {"apiVersion": "1.0", "method": "getApiList"}
    return parse_apis(client.ask_json("axis-cgi/apidiscovery.cgi", "list its APIs", document))


def parse_apis(document: dict[str, Any]) -> tuple[Api, ...]:
    listed = find_table(document, "data").get("apiList")
    rows = listed[:_MOST_APIS] if isinstance(listed, list) else []
    found = {Api(find_text(row, "id"), find_text(row, "version"), find_text(row, "status")) for row in rows}
    return tuple(sorted((api for api in found if api.id), key=lambda api: (api.id, api.version)))
