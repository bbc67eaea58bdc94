"""A client for the stream of a camera's events."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
import time
from typing import Any

from incamera.axis_os.websocket import accept_key

_SECONDS = 60.0


class Refused(Exception):
    """The server has answered with another *status* than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class StreamClient:
    """A connection to *target* of an encrypted port of this computer. Raises Refused."""

    def __init__(self, port: int, target: str, login: str = "") -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._line = context.wrap_socket(plain)
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        head += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        head += f"Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n" if login else ""
        self._line.sendall(f"{head}\r\n".encode())
        self._stream = self._line.makefile("rb")
        status = int(self._stream.readline().split()[1])
        headers = [line for line in iter(self._stream.readline, b"\r\n") if line]
        if status != 101:
            self.close()
            raise Refused(status)
        assert f"Sec-WebSocket-Accept: {accept_key(key)}\r\n".encode() in headers

    def configure(self, *filters: dict[str, str]) -> dict[str, Any]:
        """Ask for events, and return the answer."""
        request = {"apiVersion": "1.0", "method": "events:configure", "params": {"eventFilterList": list(filters)}}
        data = json.dumps(request).encode()
        self._line.sendall(struct.pack(">BBHI", 0x81, 0xFE, len(data), 0) + data)
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """Return the next message. Pings do not keep it waiting."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            kind, size = self._stream.read(2)
            if size == 126:
                (size,) = struct.unpack(">H", self._stream.read(2))
            data = self._stream.read(size)
            if kind == 0x81:
                found: dict[str, Any] = json.loads(data)
                return found
        raise TimeoutError("no message came")

    def event(self) -> tuple[str, dict[str, str], dict[str, str]]:
        """Return the topic, the source and the data of the next event."""
        told = self.receive()["params"]["notification"]
        return told["topic"], told["message"]["source"], told["message"]["data"]

    def close(self) -> None:
        self._stream.close()
        self._line.close()
