"""A debugger's side of the Debug Adapter Protocol, as far as a test needs it."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any, Self

_PATIENCE_SECONDS = 120.0


class Debugger:
    """Attached over a TCP port; every message that comes is kept until it is asked for."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._kept: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> int:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        return self._number

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        number = self.send(command, **arguments)
        return self.answer(number)

    def answer(self, number: int) -> dict[str, Any]:
        message = self._await(lambda m: m["type"] == "response" and m["request_seq"] == number)
        assert message["success"], message
        return dict(message.get("body") or {})

    def event(self, name: str) -> dict[str, Any]:
        message = self._await(lambda m: m["type"] == "event" and m["event"] == name)
        return dict(message.get("body") or {})

    def attach(self, configuration: dict[str, Any], workspace: Path, breakpoints: dict[Path, list[int]]) -> None:
        """Attach as VS Code does with *configuration*, its variables filled in, and set *breakpoints*."""
        filled = json.loads(json.dumps(configuration).replace("${workspaceFolder}", str(workspace)))
        self.request("initialize", adapterID="debugpy", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        attached = self.send("attach", **filled)
        self.event("initialized")
        for file, lines in breakpoints.items():
            self.request("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line} for line in lines])
        self.request("configurationDone")
        self.answer(attached)

    def stopped_at(self) -> tuple[str, int, dict[str, str]]:
        """Wait until it stops. Returns the file, the line, and the variables there."""
        thread = self.event("stopped")["threadId"]
        frame = self.request("stackTrace", threadId=thread, levels=1)["stackFrames"][0]
        scopes = self.request("scopes", frameId=frame["id"])["scopes"]
        variables = self.request("variables", variablesReference=scopes[0]["variablesReference"])["variables"]
        self._thread = thread
        return frame["source"]["path"], frame["line"], {item["name"]: item["value"] for item in variables}

    def go_on(self) -> None:
        self.request("continue", threadId=self._thread)

    def _await(self, wanted: Any) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for message in self._kept:
                if wanted(message):
                    self._kept.remove(message)
                    return message
            self._kept.append(self._read())
        raise AssertionError(f"it did not come; there was {self._kept}")

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the connection was ended"
        return dict(json.loads(self._stream.read(length)))
