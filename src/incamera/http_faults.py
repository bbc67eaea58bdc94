"""Why a transfer over HTTP failed."""

from __future__ import annotations

from enum import Enum, auto


class Fault(Enum):
    """What is to blame where a transfer failed on the way."""

    network = auto()
    certificate = auto()
    address = auto()
    """It is no address of a web server."""
    answer = auto()
    """What the server sends makes no sense."""

    @property
    def is_hopeless(self) -> bool:
        """Whether another attempt would fail in the same way."""
        return self is not Fault.network


class TransferError(Exception):
    """A transfer failed on the way; another attempt may succeed, unless the *fault* is hopeless."""

    def __init__(self, reason: str, fault: Fault = Fault.network) -> None:
        super().__init__(reason)
        self.fault = fault
