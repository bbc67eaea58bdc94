"""deploy: the bundle into the camera: only what changed, where it fits, with the right libraries first."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incamera.deployment.host_route import way_through_host
from incamera.deployment.shipment import plan_shipment_for
from incamera.project.targets import target_for_device
from incamera.targets.form import Form, Kind
from incamera.targets.target import Target
from incamera.units import format_bytes, format_count
from incamera.workflows.audit import read_device_libraries, require_fit
from incamera.workflows.build import build_bundle
from incamera.workflows.devices import (
    choose_device,
    connected,
    find_forms,
    guard_for,
    probe_device,
    require_architecture,
    tried_images,
)

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.deployment.deploy import DeployResult
    from incamera.deployment.places import Choice
    from incamera.device.facts import DeviceFacts
    from incamera.device.libraries import LibraryTable
    from incamera.guard.guard import Guard
    from incamera.guard.upload import Way
    from incamera.http import Progress as Advance
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.transport.device import Device
    from incamera.transport.session import Session


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user wants of a deploy beyond the project's settings. None: whatever is best.

    With *verify*, what is on the device already is read, and mended.
    """

    to: Kind | None = None
    form: Form | None = None
    take_over: bool = False
    verify: bool = False


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A bundle that stands on a device, over a connection that is still open. It runs from `result.root`."""

    device: Device
    session: Session
    facts: DeviceFacts
    bundle: Bundle
    guard: Guard
    result: DeployResult


@contextmanager
def deployed(
    context: Context,
    project: Project,
    *,
    device: str | Device | None,
    target: str | None,
    audit: bool = True,
    wish: Wish | None = None,
    vary: Callable[[Project, Target], Project] | None = None,
) -> Iterator[Deployed]:
    """Build what is stale, deploy it, and keep the connection for as long as the block lasts.

    *vary* returns what is to be deployed in the project's stead, once the target is known: one with its tests, say.
    Raises DeviceUnsuitable when the audit, unless it is left out, finds that the bundle cannot run there.
    """
    wished = Target.parse(target, python=project.python) if target else None
    wish = wish or Wish()
    if device is None or isinstance(device, str):
        device = choose_device(context, device, project=project, target=wished)
    chosen = device
    with connected(context, chosen) as session:
        facts = probe_device(context, session)
        wish = wish if wish.to else replace(wish, to=project.to)
        if wish.to is Kind.share:
            facts = _ensure_share(context, session, facts)
        architecture = require_architecture(facts, chosen)
        built_for = target_for_device(project, str(chosen), architecture, target)
        bundle = build_bundle(context, vary(project, built_for) if vary else project, built_for)
        table = read_device_libraries(context, session, facts, bundle)
        if audit:
            require_fit(context, bundle, facts, table, device=str(chosen))
        guard, result = deploy_bundle(context, session, facts, table, bundle, wish)
        yield Deployed(device=chosen, session=session, facts=facts, bundle=bundle, guard=guard, result=result)


def _ensure_share(context: Context, session: Session, facts: DeviceFacts) -> DeviceFacts:
    """See to it that the share the device was attached to is there. Raises DeviceUnreachable when it isn't served."""
    from incamera.workflows.share_attach import ensure_mounted, require_served

    require_served(context, str(session.device))
    if facts.find_place(Kind.share) is None:
        ensure_mounted(context, session)
        facts = probe_device(context, session)
    return facts


def deploy_project(
    context: Context,
    project: Project,
    *,
    device: str | None,
    target: str | None,
    audit: bool = True,
    wish: Wish | None = None,
) -> tuple[str, DeployResult]:
    with deployed(context, project, device=device, target=target, audit=audit, wish=wish) as done:
        return str(done.device), done.result


def deploy_bundle(
    context: Context,
    session: Session,
    facts: DeviceFacts,
    table: LibraryTable,
    bundle: Bundle,
    wish: Wish | None = None,
) -> tuple[Guard, DeployResult]:
    """Put *bundle* where it fits, or where the user wishes. What proves too small is left for the next best place."""
    from incamera.deployment.places import check_architecture, choose_place
    from incamera.guard.guard import CannotActivate, NoRoom

    wish = wish or Wish()
    device = str(session.device)
    check_architecture(facts, bundle.target.architecture, device=device)
    architecture = bundle.target.architecture
    full: dict[str, str] = {}
    unfit: set[Form] = set()

    def forms() -> frozenset[Form]:
        return find_forms(context, session, facts, guard_for(facts, architecture)) - unfit

    with context.reporter.step("deploy") as step:
        while True:
            choice = choose_place(
                facts,
                app=bundle.name,
                size=bundle.disk_bytes,
                device=device,
                to=wish.to,
                form=wish.form,
                forms=forms,
                full=full,
            )
            guard = guard_for(facts, architecture, otherwise=choice.place.path)
            try:
                result = _deploy_to(context, session, facts, table, bundle, choice, guard, wish, step)
                break
            except NoRoom as error:
                if wish.to is not None:
                    raise
                context.reporter.info(f"{error}: trying the next place")
                full[choice.place.path] = "is too full"
            except CannotActivate as error:
                if wish.form is not None or choice.form in unfit:
                    raise
                context.reporter.info(f"{error}: trying another form")
                unfit.add(choice.form)
        step.cached = result.files_sent == 0
        where = f"{device}:{choice.place.path}"
        if step.cached:
            step.note(f"nothing to send to {where}")
        else:
            step.note(f"{format_count(result.files_sent, 'file')}, {format_bytes(result.bytes_sent)} to {where}")
        step.note(choice.why)
    return guard, result


def _deploy_to(
    context: Context,
    session: Session,
    facts: DeviceFacts,
    table: LibraryTable,
    bundle: Bundle,
    choice: Choice,
    guard: Guard,
    wish: Wish,
    step: Step,
) -> DeployResult:
    from incamera.deployment.deploy import deploy
    from incamera.guard.guard import NotSeen
    from incamera.guard.upload import Way

    images = tried_images(context, session, facts, guard) if choice.form is Form.squashfs else ()
    shipment = plan_shipment_for(context, table, facts, bundle, choice.form, images=images, step=step)
    if choice.remount:
        place = choice.place.path
        session.require(f"mount -o remount,exec {shlex.quote(place)}", purpose=f"let programs run in {place}")
        step.note(f"remounted {place} exec")
    way = Way(place=choice.place.path, who=who(), take_over=wish.take_over, verify=wish.verify)
    waits = 0

    def waiting(who: str, app: str, seconds: int) -> None:
        nonlocal waits
        waits += 1
        if waits == 2:  # a second has gone: this is more than the clearing up after another deploy
            where = f"{session.device}:{choice.place.path}"
            context.reporter.info(
                f"{who or 'somebody'} has been deploying {app or bundle.name} to {where} for {seconds} s: waiting; "
                "--take-over would end that"
            )

    def send(way: Way) -> DeployResult:
        with ExitStack() as bar:
            advance: Advance | None = None
            shown = 0

            def progress(done: int, total: int) -> None:
                nonlocal advance, shown
                # How much will be sent is known once the device has looked at what it has.
                if advance is None:
                    advance = bar.enter_context(step.progress(total))
                advance(done - shown)
                shown = done

            return deploy(session, shipment, guard, way=way, progress=progress, waiting=waiting)

    with way_through_host(context, session, facts, choice, way) as direct:
        if direct is not None:
            try:
                result = send(direct)
                step.note(f"written into {direct.folder}")
                return result
            except NotSeen as error:
                context.reporter.warn(f"{error}: sending it instead")
    return send(way)


def who() -> str:
    """Return who we are to others who use the same device."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
