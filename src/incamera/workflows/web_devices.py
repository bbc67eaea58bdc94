"""device add|info for a camera that is reached through its web server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incamera.connect.choose import devices_folder
from incamera.connect.passwords import PasswordSource, check_password, run_password_command
from incamera.connect.web import web_connected
from incamera.device import registry
from incamera.errors import DeviceRefused, UsageError
from incamera.http_auth import Login
from incamera.vapix.accounts import check_passphrase, create_first_account, describe_policy
from incamera.vapix.address import WebDevice, format_fingerprint, parse_fingerprint, parse_url
from incamera.vapix.client import NoSuchApi, UnknownCertificate
from incamera.vapix.device_info import read_apis, read_device_info, read_system_ready
from incamera.workflows.devices import require_own_name
from incamera.workflows.installed import read_status

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.vapix.device_info import Api, DeviceInfo, SystemReady
    from incamera.workflows.installed import Status

_FIRST_QUESTIONS = 3


def add_web_device(
    context: Context, name: str, url: str, *, accept_key: str | None = None, password_command: str | None = None
) -> tuple[WebDevice, DeviceInfo]:
    """Look at the camera at *url*, have its certificate accepted, log in, and save it as *name*.

    *accept_key* is the fingerprint of the certificate to accept, for use without a terminal. A camera that is
    factory-new gets its first account. Raises UsageError, DeviceError, ConfigError.
    """
    require_own_name(context, name, url)
    address = replace(parse_url(url), password_command=password_command or "")
    if accept_key is not None:
        address = replace(address, certificate=parse_fingerprint(accept_key) if address.is_encrypted else "")
    device = WebDevice(name=name, address=address)
    if not address.is_encrypted:
        context.reporter.warn(
            f"what goes to {address.url} is not encrypted: others in that network can read and change it, the package "
            "and the settings included. Use https where the camera has it"
        )
    device, state = _trusted(context, device)
    logins: PasswordSource | _KnownLogin = PasswordSource(context, device)
    if state is not None and state.needs_setup:
        logins = _KnownLogin(_make_first_account(context, device, state.passphrase_policy))
    with web_connected(context, device, logins=logins) as client:
        info = read_device_info(client)
    with context.store.reporting_disk_errors():
        registry.add_web_device(devices_folder(context), device)
    return device, info


def _trusted(context: Context, device: WebDevice) -> tuple[WebDevice, SystemReady | None]:
    """Return *device* with the certificate that the user trusts, and its state; None where it does not tell."""
    try:
        return device, _read_state(context, device)
    except UnknownCertificate as error:
        certificate = error.certificate
        question = (
            f"{device} ({device.address.url}) is new here. Its certificate is {certificate.describe()}; its SHA-256 is "
            f"{format_fingerprint(certificate.digest)}. Trust it?"
        )
        if not context.reporter.confirm(question):
            raise
    device = replace(device, address=replace(device.address, certificate=certificate.digest))
    return device, _read_state(context, device)


def _read_state(context: Context, device: WebDevice) -> SystemReady | None:
    with web_connected(context, device) as client:
        try:
            return read_system_ready(client)
        except NoSuchApi:  # before AXIS OS 9.50
            return None


@dataclass(slots=True)
class _KnownLogin:
    """One login, which is not asked for."""

    login: Login

    def first(self) -> Login:
        return self.login

    def next(self) -> Login | None:
        return None

    def accepted(self) -> None: ...


class _NoLogin:
    """Logins for a camera that has no account yet."""

    def first(self) -> Login:
        raise DeviceRefused(
            "the camera says that it has no account yet, and demands a login",
            hint="make the first account in its own web pages",
        )

    def next(self) -> Login | None:
        return None

    def accepted(self) -> None: ...


def _make_first_account(context: Context, device: WebDevice, policy: str) -> Login:
    """Make the first account of a factory-new camera, with a password from the command or the user. Returns it."""
    user = device.address.user
    if device.address.password_command:
        password = run_password_command(context, device)
        if problem := check_passphrase(password, policy):
            raise UsageError(f"the password of {user} {problem}", hint=f"the camera takes {describe_policy(policy)}")
    else:
        if not context.reporter.confirm(
            f"{device} is factory-new: it has no account yet. Make the administrator {user} now?"
        ):
            raise DeviceRefused(
                f"{device} has no account yet",
                hint="make the first one in its own web pages, or let --password-command give its password",
            )
        password = _ask_new_password(context, user, policy)
    with web_connected(context, device, logins=_NoLogin()) as client:
        create_first_account(client, user, password)
    context.reporter.info(f"made the account {user} on {device}")
    return Login(user, password)


def _ask_new_password(context: Context, user: str, policy: str) -> str:
    for _ in range(_FIRST_QUESTIONS):
        password = context.reporter.ask_secret(f"new password of {user} ({describe_policy(policy)}):")
        if password is None:
            break
        if problem := check_passphrase(password, policy):
            context.reporter.warn(f"the password {problem}")
        elif context.reporter.ask_secret("the same again:") == password:
            return check_password(password, "the password")
        else:
            context.reporter.warn("the two are not the same")
    raise DeviceRefused("no password was typed that the camera would take", hint="try again")


@dataclass(frozen=True, kw_only=True, slots=True)
class WebReport:
    """What `device info` shows of a camera. *state* is None where an old AXIS OS does not tell it."""

    device: WebDevice
    state: SystemReady | None
    status: Status
    apis: tuple[Api, ...]


def inspect_web_device(context: Context, device: WebDevice) -> WebReport:
    """Ask the camera what it is, which apps it has, and which APIs. Raises DeviceError."""
    state = _read_state(context, device)
    with web_connected(context, device) as client:
        return WebReport(device=device, state=state, status=read_status(client), apis=read_apis(client))
