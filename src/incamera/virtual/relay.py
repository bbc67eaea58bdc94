"""Carries one connection of a camera to a port of the host's loopback: `python -I relay.py PORT`, started by QEMU."""

from __future__ import annotations

import os
import socket
import sys
import threading

_CHUNK = 65536


def main() -> None:
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))

    def send() -> None:
        while data := os.read(0, _CHUNK):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    while data := connection.recv(_CHUNK):
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
