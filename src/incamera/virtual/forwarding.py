"""Says where the ports of a running virtual camera are forwarded to; the relay of each connection reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import write_atomic
from incamera.errors import UsageError
from incamera.virtual.qemu import FORWARDED_PORTS, FORWARDS_FILE
from incamera.virtual.relay import find_service

if TYPE_CHECKING:
    from incamera.store import Store


def forward_service(store: Store, name: str, port: int, address: tuple[str, int] | None) -> None:
    """Forward *port* at HOST_ADDRESS in the camera *name* to the server at *address*; None stops forwarding it.

    Connections that are open stay open. Raises UsageError for a port that is not one of FORWARDED_PORTS.
    """
    if port not in FORWARDED_PORTS:
        ports = ", ".join(map(str, FORWARDED_PORTS))
        raise UsageError(f"a virtual camera cannot use port {port} of a server", hint=f"it can use the ports {ports}")
    file = forwards_file(store, name)
    forwards = {known: find_service(str(file), str(known)) for known in FORWARDED_PORTS} | {port: address}
    lines = [f"{guest} {host[0]} {host[1]}\n" for guest, host in forwards.items() if host is not None]
    with store.reporting_disk_errors():
        write_atomic(file, "".join(lines).encode())


def forwards_file(store: Store, name: str) -> Path:
    """Return the file that says where the ports of the camera *name* are forwarded to."""
    return store.root / "virtual" / name / FORWARDS_FILE
