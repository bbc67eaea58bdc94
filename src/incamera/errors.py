"""Every error that a user can cause or meet, each with its exit code and, where there is one, a hint.

    InCameraError          1   the answer is no: audit findings, failed tests
    ├── UsageError         2   the command line
    ├── ConfigError        3   pyproject.toml, the environment
    ├── DeviceError        4   a camera, real or virtual
    │   ├── DeviceUnreachable
    │   ├── DeviceRefused        login, host key
    │   ├── DeviceUnsuitable     architecture, space, noexec
    │   ├── ConnectionLost
    │   └── AgentError           the agent, our program in the camera
    ├── BuildError         5   resolve, fetch, build
    │   ├── SourceError          the app's own code
    │   ├── ResolveError
    │   ├── FetchError           the network
    │   │   └── IntegrityError   a wrong signature or hash
    │   └── ToolFailed           another program
    └── StoreError         6   the store, the disk

Any other exception that reaches `__main__` is a bug in incamera: exit code 70.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class InCameraError(Exception):
    """A message that says what happened, and a *hint* that says what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(InCameraError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class ConfigError(InCameraError):
    """A setting is wrong: in pyproject.toml, a recipe, a lockfile or the environment."""

    exit_code = 3


class DeviceError(InCameraError):
    """Something went wrong with a device: a camera, real or virtual."""

    exit_code = 4


class DeviceUnreachable(DeviceError):
    """The device does not answer."""


class DeviceRefused(DeviceError):
    """The device refuses the login, or its host key is not the known one."""


class DeviceUnsuitable(DeviceError):
    """The device answers, but the bundle cannot run there."""


class ConnectionLost(DeviceError):
    """The connection to the device was lost while something was under way."""


class AgentError(DeviceError):
    """The agent, our program in the camera, cannot do what was asked.

    *kind* is the kind of error as its protocol names it. *owner* describes who uses what was asked for, or is None.
    """

    def __init__(
        self, message: str, *, kind: str = "request", hint: str | None = None, owner: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.owner = owner


class BuildError(InCameraError):
    """Packages cannot be resolved, fetched or built."""

    exit_code = 5


class SourceError(BuildError):
    """A file of the app is not valid Python."""


class ResolveError(BuildError):
    """No set of packages satisfies all requirements."""


class FetchError(BuildError):
    """A download did not succeed."""


class IntegrityError(FetchError):
    """A download does not have the signature, hash or size that it must have. It is neither retried nor kept."""


class ToolFailed(BuildError):
    """Another program failed. *tail* holds the last lines that it printed."""

    def __init__(self, message: str, *, hint: str | None = None, tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.tail = tail


class StoreError(InCameraError):
    """The store, or the disk that it is on, cannot be read or written."""

    exit_code = 6
