"""Where the password for a camera comes from: a command, the keyring, or the user. It is never written to a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera import proc
from incamera.errors import ConfigError, DeviceRefused, ToolFailed
from incamera.http_auth import Login

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.vapix.address import WebDevice

_SERVICE = "incamera"
_COMMAND_SECONDS = 120.0
_MOST_QUESTIONS = 3
_LONGEST = 256


class PasswordSource:
    """The logins to try on *device*. With a password command, or the file of a virtual camera, that one alone.

    Otherwise the password in the keyring, if there is a keyring, and then what the user types, three times at most.
    """

    def __init__(self, context: Context, device: WebDevice) -> None:
        self._context = context
        self._device = device
        self._questions = 0
        self._asked: str | None = None

    def first(self) -> Login:
        """Return the login to try first. Raises DeviceRefused when nobody knows the password, ConfigError."""
        address = self._device.address
        if address.password_command:
            return Login(address.user, run_password_command(self._context, self._device))
        if address.password_file:
            return Login(address.user, _read_password(address.password_file))
        if password := find_in_keyring(self._context, self._device):
            return Login(address.user, password)
        login = self.next()
        if login is None:
            raise DeviceRefused(
                f"the password of {address.user} on {self._device} is not known, and nobody can be asked",
                hint=f"`incamera device add {self._device} {address.url} --password-command COMMAND` names a command "
                "that prints it",
            )
        return login

    def next(self) -> Login | None:
        """Return the login that the user types now; None when nobody can be asked, or too often was."""
        address = self._device.address
        if address.password_command or address.password_file or self._questions == _MOST_QUESTIONS:
            return None
        self._questions += 1
        password = self._context.reporter.ask_secret(f"password of {address.user} on {self._device}:")
        if password is None:
            return None
        self._asked = check_password(password, "the password")
        return Login(address.user, self._asked)

    def accepted(self) -> None:
        """Offer to keep a password that was typed and was right in the keyring, if there is one."""
        if self._asked is None or load_keyring() is None:
            return
        if self._context.reporter.confirm(f"keep the password of {self._device} in your keyring?"):
            save_in_keyring(self._context, self._device, self._asked)
        self._asked = None


def _read_password(path: str) -> str:
    try:
        return check_password(Path(path).read_text("utf-8").rstrip("\n"), f"the password in {path}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(
            f"cannot read the virtual camera's password in {path}: {reason}", hint="stop the camera, and start it again"
        ) from None


def check_password(password: str, what: str) -> str:
    """Return *password*. Raises ConfigError, which does not show it, when no camera can have it."""
    if not password or len(password) > _LONGEST or not password.isprintable():
        raise ConfigError(
            f"{what} is empty, too long or has control characters",
            hint="a password of a camera is a line of text",
        )
    return password


def run_password_command(context: Context, device: WebDevice) -> str:
    """Return the first line that the password command of *device* prints. No shell runs it. Raises ConfigError."""
    command = device.address.password_command
    purpose = f"get the password of {device}"
    hint = f"`incamera device add {device} {device.address.url} --password-command COMMAND` names another command"
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"cannot {purpose}: {command}: {error}", hint=hint) from None
    if not words:
        raise ConfigError(f"cannot {purpose}: the command is empty", hint=hint)
    try:
        found = proc.run(words, purpose=purpose, env=dict(context.environment), timeout=_COMMAND_SECONDS)
    except ToolFailed as error:
        # Not what it has printed: that may be the password.
        raise ConfigError(str(error), hint=hint) from None
    return check_password(found.text.split("\n")[0].rstrip("\r"), f"the first line that {words[0]} prints")


def load_keyring() -> Any:
    """Return the module keyring with a keyring that works; None when there is none."""
    try:
        import keyring  # lazy: it is optional, and slow to import
        from keyring.backends import fail
    except ImportError:
        return None
    return None if isinstance(keyring.get_keyring(), fail.Keyring) else keyring


def find_in_keyring(context: Context, device: WebDevice) -> str | None:
    """Return the password for *device* that the keyring has; None when it has none, or there is no keyring."""
    keyring = load_keyring()
    if keyring is None:
        return None
    try:
        password = keyring.get_password(_SERVICE, str(device.address))
    except Exception as error:  # each keyring has errors of its own: locked, cancelled, no session
        context.warn_once(f"the keyring does not give the password of {device}: {type(error).__name__}")
        return None
    return check_password(password, "the password in the keyring") if password else None


def save_in_keyring(context: Context, device: WebDevice, password: str) -> None:
    """Keep *password* in the keyring; a warning says when that fails."""
    try:
        load_keyring().set_password(_SERVICE, str(device.address), password)
    except Exception as error:
        context.reporter.warn(f"the keyring does not keep the password of {device}: {type(error).__name__}")


def forget_in_keyring(device: WebDevice) -> None:
    """Remove the password for *device* from the keyring, if it is there."""
    keyring = load_keyring()
    if keyring is None:
        return
    try:
        keyring.delete_password(_SERVICE, str(device.address))
    except Exception:  # also when it has no such password
        return
