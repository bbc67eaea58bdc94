"""Services that a running camera is lent: which server is behind the ports that QEMU forwards for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import write_atomic
from incamera.errors import UsageError
from incamera.virtual.qemu import SERVICE_PORTS, SERVICES_FILE
from incamera.virtual.relay import find_service

if TYPE_CHECKING:
    from incamera.store import Store


def lend_service(store: Store, name: str, port: int, address: tuple[str, int] | None) -> None:
    """Let the camera called *name* find the server at *address* behind *port* of HOST_ADDRESS; None: nothing there.

    Connections that are open stay as they are. Raises UsageError for a port that is none of SERVICE_PORTS.
    """
    if port not in SERVICE_PORTS:
        raise UsageError(f"a virtual camera has no way to port {port}: it has " + ", ".join(map(str, SERVICE_PORTS)))
    file = services_file(store, name)
    lent = {known: find_service(str(file), str(known)) for known in SERVICE_PORTS} | {port: address}
    lines = [f"{guest} {host[0]} {host[1]}\n" for guest, host in lent.items() if host is not None]
    with store.reporting_disk_errors():
        write_atomic(file, "".join(lines).encode())


def services_file(store: Store, name: str) -> Path:
    return store.root / "virtual" / name / SERVICES_FILE
