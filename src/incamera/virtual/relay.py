"""Forwards one TCP connection of a virtual camera to a server. QEMU starts it for each connection.

    python -I relay.py FILE PORT

FILE, which `forwarding.py` writes, says where the camera's PORT is forwarded to. QEMU has accepted the connection
already, so the relay waits for a server that is not up yet. The camera then sees a server that does not answer, and
tries again, as with a real one. If the port is not forwarded, the relay closes the connection after half a second. It
does not close it at once, because a camera that still mounts an old share would then reconnect in an endless loop.
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
_CLOSE_DELAY_SECONDS = 0.5


def find_service(file: str, port: str) -> tuple[str, int] | None:
    """Return host and port from the line `PORT HOST PORT` of *file* for the camera's *port*; None without one."""
    try:
        with open(file, encoding="utf-8") as stream:  # noqa: PTH123 - importing pathlib takes longer than all the rest
            for line in stream:
                guest_port, host, host_port = line.split()
                if guest_port == port:
                    return host, int(host_port)
    except FileNotFoundError:
        pass
    return None


def connect(file: str, port: str, camera_socket: int = 0) -> socket.socket | None:
    """Return a connection to the server; None when the port is not forwarded, or the camera has hung up."""
    camera = select.poll()
    camera.register(camera_socket, select.POLLRDHUP)
    started = time.monotonic()
    while (service := find_service(file, port)) or time.monotonic() - started < _CLOSE_DELAY_SECONDS:
        if service:
            try:
                return socket.create_connection(service)
            except OSError:
                pass  # the server is not up yet
        if camera.poll(_PAUSE_MILLISECONDS):
            break
    return None


def main() -> None:
    connection = connect(sys.argv[1], sys.argv[2])
    if connection is None:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send() -> None:
        try:
            while data := os.read(0, _CHUNK):
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server has closed the connection, so the loop below ends, too

    threading.Thread(target=send, daemon=True).start()
    try:
        while data := connection.recv(_CHUNK):
            while data:
                data = data[os.write(1, data) :]
    except OSError:
        pass


if __name__ == "__main__":
    main()
