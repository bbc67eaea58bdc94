"""Connect to the web server of a camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from incamera.connect.passwords import PasswordSource
from incamera.vapix.client import Client

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.vapix.address import WebDevice
    from incamera.vapix.client import Logins


@contextmanager
def web_connected(context: Context, device: WebDevice, *, logins: Logins | None = None) -> Iterator[Client]:
    """Yield the client for the web server of *device* for as long as the block lasts.

    Nothing is sent before the first call, and no password is asked for before the camera demands one. *logins* replaces
    the keyring, the password command and the user.
    """
    client = Client(device, logins or PasswordSource(context, device))
    try:
        yield client
    finally:
        client.close()
