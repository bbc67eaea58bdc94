"""deploy: the bundle into the camera: only what changed, where it fits, with the right libraries first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.runtime.launcher import require_launcher
from incamera.targets.target import Target
from incamera.units import format_bytes
from incamera.workflows.audit import LIBRARIES, bundle_libraries, read_device_libraries, require_fit
from incamera.workflows.bundle import build_bundle
from incamera.workflows.devices import (
    choose_device,
    connected,
    probe_device,
    require_architecture,
)
from incamera.workflows.targets import target_for_device

if TYPE_CHECKING:
    from incamera.device.deploy import DeployResult, Guard
    from incamera.device.facts import DeviceFacts
    from incamera.device.libraries import LibraryTable
    from incamera.device.session import Session
    from incamera.device.sync import Shipment
    from incamera.device.values import Device
    from incamera.http import Progress as Advance
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.workflows.context import Context


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A bundle that stands on a device, over a connection that is still open."""

    device: Device
    session: Session
    bundle: Bundle
    guard: Guard
    result: DeployResult


@contextmanager
def deployed(
    context: Context, project: Project, *, device: str | None, target: str | None, audit: bool = True
) -> Iterator[Deployed]:
    """Build what is stale, deploy it, and keep the connection for as long as the block lasts.

    Raises DeviceUnsuitable when the audit, unless it is left out, finds that the bundle cannot run there.
    """
    wished = Target.parse(target, python=project.python) if target else None
    chosen = choose_device(context, device, project=project, target=wished)
    with connected(context, chosen) as session:
        facts = probe_device(context, session)
        architecture = require_architecture(facts, chosen)
        bundle = build_bundle(context, project, target_for_device(project, str(chosen), architecture, target))
        table = read_device_libraries(context, session, facts, bundle)
        if audit:
            require_fit(context, bundle, facts, table, device=str(chosen))
        guard, result = deploy_bundle(context, session, facts, table, bundle)
        yield Deployed(device=chosen, session=session, bundle=bundle, guard=guard, result=result)


def deploy_project(
    context: Context, project: Project, *, device: str | None, target: str | None, audit: bool = True
) -> tuple[str, DeployResult]:
    with deployed(context, project, device=device, target=target, audit=audit) as done:
        return str(done.device), done.result


def deploy_bundle(
    context: Context, session: Session, facts: DeviceFacts, table: LibraryTable, bundle: Bundle
) -> tuple[Guard, DeployResult]:
    from incamera.device.deploy import Guard, deploy
    from incamera.device.places import check_architecture, choose_place

    device = str(session.device)
    with context.reporter.step("deploy") as step:
        check_architecture(facts, bundle.target.architecture, device=device)
        choice = choose_place(facts, app=bundle.name, size=bundle.disk_bytes, device=device)
        shipment = plan_shipment_for(table, facts, bundle)
        guard = Guard(require_launcher(bundle.target.architecture), choice.place.path)
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

            result = deploy(session, shipment, guard, progress=progress)
        step.cached = result.files_sent == 0
        if step.cached:
            step.note(f"{device} has it in {choice.place.path}")
        else:
            files = "1 file" if result.files_sent == 1 else f"{result.files_sent} files"
            step.note(f"{files}, {format_bytes(result.bytes_sent)} to {device}:{choice.place.path}")
            if result.files_unchanged == 0:
                step.note(choice.why)
    return guard, result


def plan_shipment_for(table: LibraryTable, facts: DeviceFacts, bundle: Bundle) -> Shipment:
    """Return the bundle as it shall stand on that device: with the newer of each library first."""
    from incamera.abi.loader_rule import describe_libraries, plan_loader
    from incamera.device.sync import plan_shipment
    from incamera.elf import parse_facts

    there = {library.soname: library for library in facts.libraries}
    ours = bundle_libraries(bundle)
    plan = plan_loader(
        describe_libraries(ours, bundle.library_names()),
        describe_libraries(
            {name: parse_facts(row) for name, row in table.rows.items() if name in ours},
            {name: library.real_name for name, library in there.items()},
            {name: library.path for name, library in there.items()},
        ),
        bundle_folders=(LIBRARIES,),
        device_folders=facts.library_folders,
        device_loader=facts.loader,
    )
    return plan_shipment(
        bundle.name, bundle.path, bundle.entries, extra_files=plan.files, extra_links=plan.shipped_links
    )
