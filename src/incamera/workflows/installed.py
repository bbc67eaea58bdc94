"""status, start, stop, restart, uninstall, params, logs: the apps that are installed in a camera."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.eap.manifest import default_app_name, load_manifest
from incamera.errors import ConnectionLost, DeviceError, DeviceUnreachable, UsageError
from incamera.names import did_you_mean, listing
from incamera.project.package_settings import load_package_settings
from incamera.vapix.application_errors import ALREADY_RUNNING, NOT_RUNNING, ApplicationError
from incamera.vapix.applications import control, list_applications, read_switch
from incamera.vapix.device_info import read_device_info
from incamera.vapix.params import NoSuchParameters, read_params, set_params
from incamera.vapix.system_log import find_news, parse_entry, read_log

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.vapix.applications import Application
    from incamera.vapix.client import Client
    from incamera.vapix.device_info import DeviceInfo
    from incamera.vapix.system_log import Entry

# The camera's switch for packages that are not signed.
UNSIGNED = "AllowUnsigned"
_TAIL_LINES = 8
# The camera's programs that install and start apps.
_INSTALLERS = ("acapctl", "acapmanager", "systemd")
# A camera that does not answer while its log is followed is reported within 20 seconds: it is asked again over a new
# connection, which may take 10 seconds. Then it has more time, for it may be a slow one.
_FOLLOW_SECONDS = 8.0
_PATIENT_SECONDS = 60.0
_POLL_SECONDS = 1.0


def find_app_name(project: Project | None, app: str | None) -> str:
    """Return the name of the app in a camera: *app*, else that of the package of *project*. Raises UsageError."""
    if app is not None:
        return app
    if project is None:
        raise UsageError("there is no project here, and no app is named", hint="name the app with --app NAME")
    settings = load_package_settings(project)
    if settings.manifest is not None:
        setup = load_manifest(settings.manifest).get("acapPackageConf", {}).get("setup", {})
        return str(setup.get("appName", "")) or default_app_name(project.name)
    return settings.texts.get("appName") or default_app_name(project.name)


def require_application(client: Client, name: str) -> Application:
    """Return the installed app *name*. Raises UsageError when there is none."""
    known = {app.name: app for app in list_applications(client)}
    if name not in known:
        hint = did_you_mean(name, known) or (
            f"{listing('installed are', known)}; name one with --app" if known else "`incamera install` installs it"
        )
        raise UsageError(f"{name} is not installed on {client.device}", hint=hint)
    return known[name]


def start_installed(client: Client, name: str) -> bool:
    """Start the app *name*. Returns False when it was running already. Raises DeviceError."""
    return _unless(client, "start", name, ALREADY_RUNNING)


def stop_installed(client: Client, name: str) -> bool:
    """Stop the app *name*. Returns False when it was not running. Raises DeviceError."""
    return _unless(client, "stop", name, NOT_RUNNING)


def restart_installed(client: Client, name: str) -> None:
    """Stop the app *name* and start it again; one that is not running is started. Raises DeviceError."""
    if not _unless(client, "restart", name, NOT_RUNNING):
        _unless(client, "start", name, ALREADY_RUNNING)


def _unless(client: Client, action: str, name: str, code: int) -> bool:
    """Do *action* with the app *name*. Returns False when the camera answers that it is so already: *code*."""
    require_application(client, name)
    try:
        control(client, action, name)
    except ApplicationError as error:
        if error.code == code:
            return False
        raise with_log(client, error, name) from None
    return True


def uninstall(client: Client, name: str) -> Application:
    """Remove the app *name* with all its data. Returns what it was. Raises DeviceError, UsageError."""
    found = require_application(client, name)
    try:
        control(client, "remove", name)
    except ApplicationError as error:
        raise with_log(client, error, name) from None
    return found


def with_log(client: Client, error: ApplicationError, name: str) -> ApplicationError:
    """Return *error* with the last lines of the camera's log that are about apps, or about the app *name*."""
    with suppress(DeviceError):
        found = [parse_entry(line) for line in read_log(client)]
        about = [str(entry) for entry in found if _is_about(entry, name)]
        error.tail = "\n".join(about[-_TAIL_LINES:])
    return error


def _is_about(entry: Entry, name: str) -> bool:
    if entry.source == name:
        return True
    return name in entry.text if entry.source == "systemd" else entry.source in _INSTALLERS


def read_app_params(client: Client, name: str) -> dict[str, str]:
    """Return the parameters of the app *name*, by their names; none for an app that has none. Raises DeviceError."""
    found = require_application(client, name)
    try:
        params = read_params(client, f"root.{found.name}")
    except NoSuchParameters:
        return {}
    # A camera may write the app's name with another first letter.
    prefix = f"{found.name}.".lower()
    return {key[len(prefix) :]: value for key, value in params.items() if key.lower().startswith(prefix)}


def set_app_params(client: Client, name: str, changes: Sequence[str]) -> dict[str, str]:
    """Set parameters of the app *name*: *changes* are `NAME=VALUE`. Returns all of them, with the values now.

    Raises UsageError for a parameter that the app does not have.
    """
    known = read_app_params(client, name)
    values: dict[str, str] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f'"{change}" sets nothing', hint="write NAME=VALUE")
        if key not in known:
            hint = did_you_mean(key, known) or (
                listing("it has", known) if known else "parameters stand in [tool.incamera.package.parameters]"
            )
            raise UsageError(f"{name} has no parameter {key}", hint=hint)
        if "\n" in value or "\r" in value:
            raise UsageError(f"the value of {key} has more than one line", hint="a parameter is one line of text")
        values[f"{name}.{key}"] = value
    set_params(client, values)
    return read_app_params(client, name)


@dataclass(frozen=True, slots=True)
class LogPart:
    """Lines of a log. With *has_gap*, lines before these may be missing."""

    entries: tuple[Entry, ...]
    has_gap: bool = False


def read_app_log(context: Context, client: Client, name: str, *, follow: bool = False) -> Iterator[LogPart]:
    """Yield the log of the app *name*; with *follow*, go on with new lines without end. Raises DeviceError.

    While the camera does not answer, as during its restart, it is asked again and again.
    """
    require_application(client, name)
    before = read_log(client, name)
    yield LogPart(tuple(map(parse_entry, before)))
    is_lost = False
    while follow:
        time.sleep(_POLL_SECONDS)
        try:
            now = read_log(client, name, seconds=_PATIENT_SECONDS if is_lost else _FOLLOW_SECONDS)
        except (DeviceUnreachable, ConnectionLost) as error:
            if not is_lost:
                context.reporter.warn(f"{error}; trying again until Ctrl-C")
            is_lost = True
            continue
        if is_lost:
            context.reporter.info(f"{client.device} answers again")
            is_lost = False
        news = find_news(before, now)
        before = now
        if news.lines or news.has_gap:
            yield LogPart(tuple(map(parse_entry, news.lines)), news.has_gap)


@dataclass(frozen=True, slots=True)
class Status:
    """What a camera is, and its apps. *takes_unsigned* is None where the camera has no such switch."""

    info: DeviceInfo
    takes_unsigned: bool | None
    applications: tuple[Application, ...]


def read_status(client: Client, app: str | None = None) -> Status:
    """Return what the camera is, and its apps, or the one called *app*. Raises DeviceError, UsageError."""
    info = read_device_info(client)
    found = (require_application(client, app),) if app is not None else list_applications(client)
    return Status(info, read_switch(client, UNSIGNED), found)
