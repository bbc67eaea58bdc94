"""Carry out a deploy plan: send the files that the device lacks, and activate the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from incamera.deployment.deploy import deploy
from incamera.deployment.host_route import host_route
from incamera.deployment.plan import FormsUnknown, check_architecture, plan_deploy
from incamera.deployment.request import DeployRequest, local_owner
from incamera.deployment.shipment import plan_shipment_for
from incamera.errors import DeviceError
from incamera.guard.failures import CannotActivate, NoRoom, NotSeen
from incamera.guard.upload import Observer, Route, Stage
from incamera.guard.verbs import allow_exec
from incamera.runtime.launcher.protocol import DATA_VARIABLE, WORK_APP, WORK_VARIABLE
from incamera.targets.form import Form
from incamera.units import format_bytes, format_count

if TYPE_CHECKING:
    from incamera.connect.connection import Connection
    from incamera.context import Context, Step
    from incamera.deployment.deploy import DeployResult
    from incamera.deployment.plan import DeployPlan
    from incamera.device.libraries import LibraryTable
    from incamera.guard.program import Guard
    from incamera.http import Progress as Advance
    from incamera.runtime.bundle import Bundle
    from incamera.runtime.launcher.protocol import Waiting
    from incamera.transport.session import Session

# What the guard calls itself where a deploy is over and its host does not wait for it: see `lock.h`.
_TIDYING = "tidy"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A bundle that is active on a device, and the open connection to it. The bundle runs from `result.root`."""

    connection: Connection
    bundle: Bundle
    guard: Guard
    result: DeployResult
    data: str = ""
    """The folder on the device in which the app keeps its data. Empty: no place can be written."""
    work: str = ""
    """The folder on the device for the app's working folder. Empty: it works in the bundle."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What tells acap of the app."""

    @property
    def session(self) -> Session:
        return self.connection.session

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the app has, whichever way it is started."""
        return {**self.variables, **({DATA_VARIABLE: self.data} if self.data else {})}

    @property
    def app_environment(self) -> dict[str, str]:
        """The variables with which the app is started in its working folder."""
        return self.environment | ({WORK_VARIABLE: self.work} if self.work else {})

    @property
    def app_folders(self) -> list[str]:
        """The folders on the device that paths of the app's files may begin with, as in tracebacks."""
        work = [f"{self.work}/{WORK_APP}"] if self.work else []
        return [*work, f"{self.result.root}/app", f"{self.result.destination}/app"]


def deploy_bundle(
    context: Context, connection: Connection, table: LibraryTable, bundle: Bundle, request: DeployRequest | None = None
) -> Deployed:
    """Deploy *bundle* to the best place that has room, or to the place that *request* names, and activate it.

    When the place turns out to be full, the next best one is tried; likewise the next form when one cannot be
    activated. Raises DeviceUnsuitable, DeviceError and its kinds; the earlier bundle then stays active.
    """
    request = request or DeployRequest()
    device, facts = str(connection.device), connection.facts
    check_architecture(facts, bundle.target.architecture, device=device)
    forms: frozenset[Form] | None = None
    full: dict[str, str] = {}
    with context.reporter.step("deploy") as step:
        while True:
            try:
                plan = plan_deploy(
                    facts, request, app=bundle.name, size=bundle.disk_bytes, device=device, forms=forms, full=full
                )
                guard = connection.guard(otherwise=plan.place.path)
                result = apply_deploy(context, connection, table, bundle, request, plan, step)
                break
            except FormsUnknown:
                forms = connection.forms()
            except NoRoom as error:
                if request.place is not None:
                    raise
                context.reporter.info(f"{error}: trying the next place")
                full[plan.place.path] = "is full"
            except CannotActivate as error:
                if request.form is not None or (forms is not None and plan.form not in forms):
                    raise
                context.reporter.info(f"{error}: trying another form")
                forms = (connection.forms() if forms is None else forms) - {plan.form}
        step.cached = result.files_sent == 0
        where = f"{device}:{plan.place.path}"
        if step.cached:
            step.note(f"nothing to send to {where}")
        else:
            step.note(f"{format_count(result.files_sent, 'file')}, {format_bytes(result.bytes_sent)} to {where}")
        step.note(plan.why)
    return Deployed(connection=connection, bundle=bundle, guard=guard, result=result)


def apply_deploy(
    context: Context,
    connection: Connection,
    table: LibraryTable,
    bundle: Bundle,
    request: DeployRequest,
    plan: DeployPlan,
    step: Step,
) -> DeployResult:
    """Send *bundle* to the place that *plan* names, and activate it there.

    Raises NoRoom, CannotActivate, DeviceError, ConnectionLost.
    """
    session, place = connection.session, plan.place.path
    guard = connection.guard(otherwise=place)
    images = connection.image_kinds(guard) if plan.form is Form.squashfs else ()
    shipment = plan_shipment_for(context, table, connection.facts, bundle, plan.form, images=images, step=step)
    if plan.remount:
        done = allow_exec(session, connection.ensure_guard(), place)
        if done.error:
            raise DeviceError(f"cannot allow programs to run in {place} on {session.device}: {done.problem}")
        step.note(f"remounted {place} exec")
    route = Route(
        place=place,
        own_folder=plan.place.folder,
        owner=local_owner(),
        take_over=request.take_over,
        verify=request.verify,
    )
    is_told = False

    def on_wait(other: Waiting) -> None:
        nonlocal is_told
        if not is_told:
            is_told = True
            context.reporter.info(describe_wait(other, bundle.name, f"{session.device}:{place}"))

    def send(route: Route) -> DeployResult:
        with _Shown(step, plan.form) as shown:
            observer = Observer(on_progress=shown.on_progress, on_stage=shown.on_stage, on_wait=on_wait)
            return deploy(session, shipment, guard, route=route, observer=observer)

    with host_route(context, connection, plan, route) as direct:
        if direct is not None:
            try:
                result = send(direct)
                step.note(f"written into {direct.folder}")
                return result
            except NotSeen as error:
                context.reporter.warn(f"{error}: sending it over the connection instead")
    return send(route)


def describe_wait(other: Waiting, app: str, where: str) -> str:
    """Return the message for a deploy of *app* that waits for the *other* one at *where*."""
    if other.owner == _TIDYING:
        return f"an earlier deploy still removes old files from {where}: waiting"
    return (
        f"{other.owner or 'another user'} has been deploying {other.app or app} to {where} for {other.seconds} s: "
        "waiting; --take-over would end that deploy"
    )


class _Shown:
    """Shows how far an upload is, and afterwards what the device does with it."""

    def __init__(self, step: Step, form: Form) -> None:
        self._step = step
        self._form = form
        self._phase = ExitStack()
        self._advance: Advance | None = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._phase.close()

    def on_progress(self, done: int, total: int) -> None:
        # The device says first which files it has. Then the number of bytes to send is known.
        if self._advance is None:
            self._advance = self._begin("sending", "sent", total)
            self._done = 0
        self._advance(done - self._done)
        self._done = done

    def on_stage(self, stage: Stage) -> None:
        self._advance = None
        if stage is Stage.checking:
            self._begin("checking in the camera", "checked")
        elif self._form is Form.archive:
            self._begin("unpacking in the camera", "unpacked")
        else:
            self._begin("activating in the camera", "activated")

    def _begin(self, doing: str, done: str, total: int = 0) -> Advance:
        self._phase.close()
        return self._phase.enter_context(self._step.phase(doing, done, total))
