"""Every error a user can cause or meet, each with its exit code and, where there is one, a way out.

    InCameraError          1   the answer is no
    ├── UsageError         2   the command line
    ├── ConfigError        3   pyproject.toml, the environment
    ├── DeviceError        4   a camera, real or virtual
    │   ├── DeviceUnreachable
    │   ├── DeviceRefused        key, host key
    │   ├── DeviceUnsuitable     architecture, space, exec
    │   ├── ConnectionLost
    │   └── AgentError           our program in the camera
    ├── BuildError         5   resolve, fetch, build
    │   ├── ResolveError
    │   ├── FetchError           the network
    │   │   └── IntegrityError   a signature or hash that is wrong
    │   └── ToolFailed           another program
    └── StoreError         6   the store, the disk

Anything else that reaches `__main__` is a bug of ours: 70.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class InCameraError(Exception):
    """One clear message, and a hint that says what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(InCameraError):
    exit_code = 2


class ConfigError(InCameraError):
    exit_code = 3


class DeviceError(InCameraError):
    exit_code = 4


class DeviceUnreachable(DeviceError):
    """The device does not answer."""


class DeviceRefused(DeviceError):
    """The device answers, but won't have us, or isn't the one we knew."""


class DeviceUnsuitable(DeviceError):
    """The device answers, but the bundle cannot run there."""


class ConnectionLost(DeviceError):
    """The connection broke in the middle of something."""


class AgentError(DeviceError):
    """Our program in the camera cannot do what was asked. `kind` is one of its protocol's words."""

    def __init__(
        self, message: str, *, kind: str = "request", hint: str | None = None, owner: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.owner = owner


class BuildError(InCameraError):
    exit_code = 5


class ResolveError(BuildError):
    """No set of packages satisfies what was asked for."""


class FetchError(BuildError):
    """A download did not succeed."""


class IntegrityError(FetchError):
    """What was downloaded is not what was signed for: never retried, never kept."""


class ToolFailed(BuildError):
    """Another program failed. `tail` holds the last lines that it printed."""

    def __init__(self, message: str, *, hint: str | None = None, argv: tuple[str, ...] = (), tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.argv = argv
        self.tail = tail


class StoreError(InCameraError):
    exit_code = 6
