"""Plan the files that are sent to a device, by the form of the bundle there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.abi.loader_rule import describe_libraries, plan_loader
from incamera.build.images import DEFAULT_COMPRESSION, ensure_image, find_compression
from incamera.elf import parse_facts
from incamera.guard.sync import ShippedImage, plan_shipment
from incamera.runtime.images import app_entries, image_text, runtime_entries, small_app
from incamera.runtime.layout import LIBRARIES
from incamera.runtime.libraries import read_libraries
from incamera.targets.form import Form

if TYPE_CHECKING:
    from incamera.abi.loader_rule import LoaderPlan
    from incamera.context import Context, Step
    from incamera.device.facts import DeviceFacts
    from incamera.device.libraries import LibraryTable
    from incamera.guard.sync import Shipment
    from incamera.runtime.bundle import Bundle


def plan_shipment_for(
    context: Context,
    table: LibraryTable,
    facts: DeviceFacts,
    bundle: Bundle,
    form: Form = Form.tree,
    *,
    images: Sequence[str] = (),
    step: Step | None = None,
) -> Shipment:
    """Return the shipment of *bundle* for a device. Of each library in bundle and device, the newer one is loaded.

    *images* are the compressions of squashfs images that the device can mount, such as `zstd`.
    """
    plan = _plan_libraries(table, facts, bundle)
    if form is Form.tree and not facts.links_roots:
        return plan_shipment(
            bundle.name, bundle.path, bundle.entries, extra_files=plan.files, extra_links=plan.shipped_links
        )

    compression = find_compression(images) or DEFAULT_COMPRESSION
    image = ensure_image(context, bundle, form, compression=compression, step=step)
    app = b"" if form is Form.tree else small_app(bundle.path, bundle.entries)
    text = image_text(image, files=plan.files, links=plan.shipped_links, app=app)
    return plan_shipment(
        bundle.name,
        bundle.path,
        app_entries(bundle.entries),
        extra_files={"image": text},
        image=ShippedImage(
            form=form,
            file=image.file,
            path=image.path,
            size=image.bytes,
            entries=runtime_entries(bundle.entries) if form is Form.tree else (),
        ),
    )


def _plan_libraries(table: LibraryTable, facts: DeviceFacts, bundle: Bundle) -> LoaderPlan:
    there = {library.soname: library for library in facts.libraries}
    ours = read_libraries(bundle)
    return plan_loader(
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
