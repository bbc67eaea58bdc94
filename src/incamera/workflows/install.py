"""install: upload a package to a camera, after a look at what the camera is and at what it will answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.web import web_connected
from incamera.eap.prediction import NOT_SIGNED, CameraState, Verdict, predict
from incamera.eap.summary import read_summary
from incamera.errors import ConfigError, DeviceError, DeviceUnsuitable
from incamera.targets.architecture import Architecture
from incamera.units import format_bytes
from incamera.vapix.application_errors import ApplicationError
from incamera.vapix.applications import list_applications, read_switch, set_switch, upload
from incamera.vapix.device_info import read_device_info
from incamera.workflows.installed import UNSIGNED, start_installed, with_log
from incamera.workflows.package import build_package

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.eap.summary import Summary
    from incamera.project.settings import Project
    from incamera.vapix.address import WebDevice
    from incamera.vapix.client import Client
    from incamera.vapix.device_info import DeviceInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallRequest:
    """What the user asks of an installation.

    *allow_unsigned* turns the camera's switch on where need be, without a question, and *set_back* turns it off again
    afterwards. *check* refuses beforehand what the camera would refuse. *start* starts the app at the end.
    """

    allow_unsigned: bool = False
    set_back: bool = False
    check: bool = True
    start: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """What was installed where. *before* is the version that was installed; None for a new app.

    *is_running* is None where the camera does not tell. *turned_on* says that AllowUnsigned was off before and is on
    now.
    """

    device: WebDevice
    info: DeviceInfo
    package: Summary
    before: str | None
    is_running: bool | None
    turned_on: bool


def install(
    context: Context, device: WebDevice, source: Path | Project, request: InstallRequest | None = None
) -> Installed:
    """Install the package *source*, or that of a project, on *device*. A stale package is made first.

    Raises DeviceUnsuitable for what the camera would refuse, ApplicationError for what it has refused, or another
    DeviceError.
    """
    request = request or InstallRequest()
    with web_connected(context, device) as client:
        with context.reporter.step("camera") as step:
            info = read_device_info(client)
            apps = {app.name: app for app in list_applications(client)}
            step.note(f"{info.name or info.number}, AXIS OS {info.version}, {info.architecture}")
        path, name = (source, source.name) if isinstance(source, Path) else _package_for(context, source, info)
        package = read_summary(path)
        state = CameraState(
            version=info.version,
            architecture=info.architecture,
            takes_unsigned=read_switch(client, UNSIGNED),
            installed={name: app.version for name, app in apps.items()},
        )
        verdicts = predict(package, state)
        if request.check:
            _require_welcome(context, device, name, verdicts)
        with _unsigned_allowed(context, client, verdicts, request) as turned_on:
            _send(context, client, path, name, package)
        if request.start:
            start_installed(client, package.name)
        now = next((app for app in list_applications(client) if app.name == package.name), None)
        if now is None:
            raise DeviceError(
                f"{device} took {name}, but does not list {package.name}", hint="`incamera status` shows its apps"
            )
        return Installed(
            device=device,
            info=info,
            package=package,
            before=apps[package.name].version if package.name in apps else None,
            is_running=now.is_running if now.state else None,
            turned_on=turned_on and not request.set_back,
        )


def _package_for(context: Context, project: Project, info: DeviceInfo) -> tuple[Path, str]:
    """Return the package of *project* for the camera's architecture, and its name. It is made if it is stale."""
    targets = [target for target in project.default_targets if target.architecture == info.architecture]
    if info.architecture not in list(Architecture):
        raise DeviceUnsuitable(
            f"the camera is a {info.architecture or 'machine that it does not name'}",
            hint="incamera supports " + " and ".join(Architecture),
        )
    if not targets:
        named = ", ".join(map(str, project.default_targets))
        raise ConfigError(
            f"the camera is {info.architecture}, and {project.name} is for {named}",
            hint=f'add "{info.architecture}" to targets in [tool.incamera]',
        )
    package = build_package(context, project, targets[0], generations=())
    return package.path, package.file_name


def _require_welcome(context: Context, device: WebDevice, name: str, verdicts: list[Verdict]) -> None:
    """Raise DeviceUnsuitable for the first of *verdicts* with which the camera refuses it; warn of the others.

    What is to be signed is another question.
    """
    for verdict in verdicts:
        if verdict.code is None:
            context.reporter.warn(f"{verdict.text}: {verdict.remedy}")
        elif verdict.code != NOT_SIGNED:
            raise DeviceUnsuitable(
                f"{device} would refuse {name} (error {verdict.code}): {verdict.text}",
                hint=f"{verdict.remedy}. --no-check uploads it nevertheless",
            )


@contextmanager
def _unsigned_allowed(
    context: Context, client: Client, verdicts: list[Verdict], request: InstallRequest
) -> Iterator[bool]:
    """Turn AllowUnsigned on for the block where *verdicts* say that it is needed. Yields whether that was done.

    It stays on unless the request says otherwise, since an unsigned app can be uploaded again then. Installed apps stay
    when it is turned off.
    """
    unsigned = next((verdict for verdict in verdicts if verdict.code == NOT_SIGNED), None)
    if unsigned is None:
        yield False
        return
    question = (
        f"{unsigned.text}. Turn {UNSIGNED} on? Any administrator can then install packages that nobody has checked, "
        "until it is turned off"
    )
    if not request.allow_unsigned and not context.reporter.confirm(question):
        raise DeviceUnsuitable(f"{client.device}: {unsigned.text}", hint=unsigned.remedy)
    set_switch(client, UNSIGNED, True)
    try:
        yield True
    except BaseException:  # also after Ctrl-C: nothing was installed for which it would be needed
        _turn_off(context, client)
        raise
    if request.set_back:
        _turn_off(context, client)
    else:
        context.reporter.info(f"{UNSIGNED} is on now; --set-back turns it off again after an installation")


def _turn_off(context: Context, client: Client) -> None:
    try:
        set_switch(client, UNSIGNED, False)
    except DeviceError as error:
        context.reporter.warn(f"{UNSIGNED} is still on in {client.device}: {error}")


def _send(context: Context, client: Client, path: Path, name: str, package: Summary) -> None:
    show: Callable[[int], None]
    left = package.size
    with context.reporter.step("install") as step:
        with ExitStack() as phases:

            def begin_sending() -> None:
                nonlocal show
                phases.close()
                show = phases.enter_context(step.phase("sending", "sent", package.size))

            def advance(count: int) -> None:
                nonlocal left
                if left == 0:  # all of it is sent again
                    begin_sending()
                else:
                    show(count)
                left -= count
                if left == 0:  # now the camera unpacks it, and runs its script
                    phases.close()
                    phases.enter_context(step.phase("installing in the camera", "installed"))

            begin_sending()
            try:
                upload(client, path, package.size, name=name, advance=advance)
            except ApplicationError as error:
                raise with_log(client, error, package.name) from None
        step.note(f"{package.name} {package.version}, {format_bytes(package.size)}")
