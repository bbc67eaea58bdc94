"""deploy: build what is stale, audit it against the device, and send what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from incamera.connect.attached import require_served
from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.connect.shares import ensure_mounted
from incamera.deployment.apply import Deployed, deploy_bundle
from incamera.deployment.data import plan_data, plan_work
from incamera.deployment.fit import require_fit
from incamera.deployment.request import DeployRequest
from incamera.eap.declared import app_variables
from incamera.project.bundled_sources import check_sources
from incamera.project.entry_check import check_declared_entry, check_in_bundle
from incamera.project.targets import target_for_device
from incamera.targets.form import Kind
from incamera.targets.target import Target
from incamera.workflows.build import build_bundle

if TYPE_CHECKING:
    from incamera.connect.connection import Connection
    from incamera.context import Context
    from incamera.deployment.deploy import DeployResult
    from incamera.device.libraries import LibraryTable
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.transport.device import Device

Transform = Callable[["Project", Target], "Project"]
"""Returns the project to deploy instead, once the target is known: one with its tests, for example."""


@contextmanager
def deployed(
    context: Context,
    project: Project,
    request: DeployRequest | None = None,
    *,
    transform: Transform | None = None,
    starts: bool = False,
) -> Iterator[Deployed]:
    """Build what is stale, deploy it, and keep the connection open for as long as the block lasts.

    With *starts*, a bundle without the module that the project starts, or with one that is not valid Python, is refused
    before it is sent. Raises DeviceUnsuitable when the audit finds that the bundle cannot run on the device; the
    request can switch it off.
    """
    request = request or DeployRequest()
    with connected(context, _choose(context, project, request)) as connection:
        yield deploy_over(context, project, connection, request, transform=transform, starts=starts)


def deploy_over(
    context: Context,
    project: Project,
    connection: Connection,
    request: DeployRequest,
    *,
    transform: Transform | None = None,
    starts: bool = True,
) -> Deployed:
    """Build what is stale and deploy it over *connection*, as `deployed` does. What runs there goes on."""
    if request.place is None:
        request = replace(request, place=project.to)
    if Kind.share in (request.place, project.data.kind if project.data else None):
        _ensure_share(context, connection)
    data = plan_data(context.reporter, connection, project)
    bundle, table = _make_fitting(context, project, connection, request, transform=transform, starts=starts)
    done = deploy_bundle(context, connection, table, bundle, request)
    work = plan_work(connection.facts, project.name)
    return replace(done, data=data, work=work, variables=app_variables(project))


def _make_fitting(
    context: Context,
    project: Project,
    connection: Connection,
    request: DeployRequest,
    *,
    transform: Transform | None,
    starts: bool,
) -> tuple[Bundle, LibraryTable]:
    """Build what is stale for the device of *connection*, and audit it. Returns it, and the device's libraries."""
    device = str(connection.device)
    target = target_for_device(project, device, connection.require_architecture(), request.target)
    bundle = build_bundle(context, transform(project, target) if transform else project, target)
    if starts:
        paths = [entry.path for entry in bundle.entries]
        check_in_bundle(project, paths, bundle.path)
        check_sources(project, paths, bundle.path, target.python)
    table = connection.read_libraries(bundle.sonames)
    if request.audit:
        require_fit(context, bundle, connection.facts, table, device=device)
    return bundle, table


def deploy_project(
    context: Context, project: Project, request: DeployRequest | None = None
) -> tuple[Device, DeployResult]:
    """Build what is stale and deploy it. Returns the device and what was sent to it."""
    check_declared_entry(project)
    with deployed(context, project, request, starts=project.entry is not None) as done:
        return done.connection.device, done.result


def _choose(context: Context, project: Project, request: DeployRequest) -> Device:
    target = Target.parse_typed(request.target, python=project.python) if request.target else None
    if request.device is None or isinstance(request.device, str):
        return choose_device(context, request.device, project=project, target=target)
    return request.device


def _ensure_share(context: Context, connection: Connection) -> None:
    """Mount the share that the device was attached to, unless it is mounted. Raises DeviceUnreachable, DeviceError."""
    require_served(context, str(connection.device))
    if connection.facts.find_place(Kind.share) is None:
        ensure_mounted(context, connection)
        connection.probe()
