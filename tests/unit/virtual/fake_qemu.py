"""A program that the supervisor takes for QEMU: its monitor, and a camera that answers over the virtio port.

Its SSH server says a banner, and then what it is told. The first argument is a file: it says what uses the camera.
Others are what it answers when it is to wake up.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
from itertools import takewhile
from pathlib import Path


def main() -> None:
    words = " ".join(sys.argv)
    descriptors = {name: int(re.findall(rf"id={name},fd=(\d+)", words)[0]) for name in ("monitor", "link")}
    monitor, link = (socket.socket(fileno=descriptors[name]) for name in ("monitor", "link"))
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def say(**message: object) -> None:
        monitor.sendall(json.dumps(message).encode() + b"\r\n")

    say(QMP={"version": {}})
    callers: list[socket.socket] = []
    while True:
        for ready in select.select([monitor, link, server, *callers], [], [])[0]:
            if ready is server:
                caller, _ = server.accept()
                caller.sendall(b"SSH-2.0-fake\r\n")
                callers.append(caller)
            elif ready in (monitor, link):
                for line in ready.recv(65536).decode().splitlines():
                    if ready is monitor:
                        say(**answer(json.loads(line)["execute"], port))
                    else:
                        word, number, *_ = line.split()
                        if word in ("reboot", "poweroff"):
                            say(event="SHUTDOWN", data={"guest": True, "reason": "guest-reset"})
                            os._exit(0)
                        use = Path(sys.argv[1]).read_text() if word == "use" else ""
                        awake = " ".join(takewhile(lambda word: word[0] != "-", sys.argv[2:])) or "awake"
                        link.sendall(f"{number} {use or {'wake': awake}.get(word, 'set')}\n".encode())
            elif data := ready.recv(65536):
                ready.sendall(data)
            else:
                callers.remove(ready)
                ready.close()


def answer(command: str, port: int) -> dict[str, object]:
    if command == "human-monitor-command":
        return {"return": f"  TCP[HOST_FORWARD]  12  127.0.0.1 {port}  10.0.2.15    22     0     0\r\n"}
    return {"return": {"status": "running"} if command == "query-status" else {}}


main()
