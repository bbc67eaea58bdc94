"""Carries one connection of a camera to a service that it was lent: `python -I relay.py FILE PORT`, started by QEMU.

FILE says where the service behind the camera's PORT is (`services.py` writes it), now, as this connection begins.
A server that isn't up now is waited for: QEMU has answered in its name already, and a camera that finds a silent server
tries on, as it does where a real one is away. Without such a service the connection is closed, after a while: a camera
that still looks for a share of former days would begin the next one at once, and so on.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time

_CHUNK = 1 << 18
_PAUSE_MILLISECONDS = 100
_AWAY_SECONDS = 0.5


def find_service(file: str, port: str) -> tuple[str, int] | None:
    """Return the address in the line `PORT HOST PORT` of *file*."""
    try:
        with open(file, encoding="utf-8") as stream:  # noqa: PTH123 - pathlib would take longer to load than all else
            for line in stream:
                guest_port, host, host_port = line.split()
                if guest_port == port:
                    return host, int(host_port)
    except FileNotFoundError:
        pass
    return None


def connect(file: str, port: str) -> socket.socket | None:
    """Return a connection to the service, None when there is none, or the camera doesn't wait for it any longer."""
    camera = select.poll()
    camera.register(0, select.POLLRDHUP)
    asked = time.monotonic()
    while (service := find_service(file, port)) or time.monotonic() - asked < _AWAY_SECONDS:
        if service:
            try:
                return socket.create_connection(service)
            except OSError:
                pass  # it isn't up
        if camera.poll(_PAUSE_MILLISECONDS):
            break
    return None


def main() -> None:
    connection = connect(*sys.argv[1:3])
    if connection is None:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send() -> None:
        try:
            while data := os.read(0, _CHUNK):
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it went away: the other direction ends, too

    threading.Thread(target=send, daemon=True).start()
    try:
        while data := connection.recv(_CHUNK):
            while data:
                data = data[os.write(1, data) :]
    except OSError:
        pass


if __name__ == "__main__":
    main()
