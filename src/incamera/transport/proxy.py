"""The ProxyCommand of ~/.ssh/config: a program that leads to the host instead of a TCP connection."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import IO

from incamera import proc

_KEPT_BYTES = 2000
# A program that has ended has printed all that it will: it is only to be read yet.
_ERROR_SECONDS = 0.5


class ProxyCommand:
    """One that runs until *proxies* is closed. `socket` is our end of its input and output."""

    def __init__(self, command: str, environment: Mapping[str, str], proxies: ExitStack) -> None:
        shell = environment.get("SHELL") or "/bin/sh"
        self.socket, theirs = socket.socketpair()
        reader, writer = os.pipe()
        self._errors = bytearray()
        self._reading = threading.Thread(target=self._read, args=(os.fdopen(reader, "rb", 0),), daemon=True)
        self._reading.start()
        try:
            with theirs:
                proxies.enter_context(
                    proc.running(
                        [shell, "-c", f"exec {command}"],
                        purpose="run the ProxyCommand of ~/.ssh/config",
                        env=environment,
                        stdin=theirs.fileno(),
                        stdout=theirs.fileno(),
                        stderr=writer,
                    )
                )
        except BaseException:
            self.socket.close()
            raise
        finally:
            os.close(writer)

    def _read(self, errors: IO[bytes]) -> None:
        # As long as it runs: a program that cannot print its errors would stop.
        with closing(errors):
            while data := errors.read(_KEPT_BYTES):
                self._errors += data
                del self._errors[:-_KEPT_BYTES]

    def errors(self) -> bytes:
        """Return the end of what it has printed to its standard error."""
        self._reading.join(_ERROR_SECONDS)
        return bytes(self._errors)
