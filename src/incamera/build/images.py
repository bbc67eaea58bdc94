"""The form that a bundle takes on a device: its runtime as one file, made once and kept in the store."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.build.deb_trees import ensure_deb_tree
from incamera.runtime.bundle import MANIFEST
from incamera.runtime.images import Image, app_entries, runtime_entries
from incamera.runtime.layout import APP
from incamera.targets.form import Form
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.toolchain.interpreter import HostTree
from incamera.tree import tree_digest
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.runtime.bundle import Bundle

DEFAULT_COMPRESSION = "zstd"
# Raise it when images made from the same runtime change.
_FORMAT = 5
# More is not read and unpacked before a start, however much a runtime's packages import.
_MOST_HOT = 24 << 20
_MOST_UNPACKED = 64 << 20
_FILE = "image"
_FACTS = "facts.json"


def find_compression(tried: Sequence[str]) -> str | None:
    """Return the best compression of those that a device told it can mount (`squashfs zstd`); None: it can't."""
    from incamera.runtime.images.squashfs import COMPRESSIONS

    return next((name for name in COMPRESSIONS if f"{Form.squashfs} {name}" in tried), None)


def ensure_image(
    context: Context,
    bundle: Bundle,
    form: Form,
    *,
    compression: str = DEFAULT_COMPRESSION,
    step: Step | None = None,
) -> Image:
    """Return the runtime of *bundle* in that form, made unless the store has it."""
    entries = runtime_entries(bundle.entries)
    unpacked = sum(entry.size for entry in entries)
    if form is Form.tree:
        digest = tree_digest(entries)
        return Image(form=form, path=bundle.path, digest=digest, bytes=unpacked, unpacked=unpacked)
    if form is Form.archive:
        compression = "gzip"
    inputs = [_FORMAT, form, compression, str(bundle.target), tree_digest(entries)]
    key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]

    def build(tree: Path) -> None:
        facts = _make(context, bundle, form, compression, tree / _FILE, step)
        (tree / _FACTS).write_text(json.dumps(facts | {"unpacked": unpacked}), "utf-8")

    tree, _ = context.store.ensure_tree("images", key, build)
    facts: dict[str, Any] = json.loads((tree / _FACTS).read_text("utf-8"))
    return Image(form=form, path=tree / _FILE, compression=compression, **facts)


def build_image(context: Context, bundle: Bundle, form: Form) -> Image:
    """Make the image as a step of its own."""
    with context.reporter.step("image") as step:
        image = ensure_image(context, bundle, form, step=step)
        step.note(f"{form}, {format_bytes(image.bytes)} of {format_bytes(image.unpacked)}")
    return image


def _make(
    context: Context, bundle: Bundle, form: Form, compression: str, out: Path, step: Step | None
) -> dict[str, object]:
    from incamera.runtime.images.order import plan_order

    entries = runtime_entries(bundle.entries)
    order = plan_order(bundle.path, entries, bundle.target)
    sizes = {entry.path: entry.size for entry in entries}
    facts: dict[str, object] = {}
    if form is Form.squashfs:
        from incamera.runtime.images.squashfs import check_of, end_with_large, make_squashfs, parse_layout

        program = ensure_mksquashfs(context, step)
        own = {entry.path.partition("/")[0] for entry in app_entries(bundle.entries)} | {APP, MANIFEST}
        whole = end_with_large(order.whole, sizes)
        make_squashfs(program, bundle.path, sorted(own), [*whole, *order.rest, *order.partly], compression, out)
        with (
            out.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
            memoryview(data) as view,
        ):
            layout = parse_layout(view)
            reads = [(layout.tables, len(view)), (0, min(layout.hot_bytes(whole[-1]), _MOST_HOT))]
            reads += [layout.part(file, *part) for file, parts in order.partly.items() for part in parts]
            facts = {"reads": reads, "check": check_of(view, reads)}
        facts["unpacks"] = list(_until(_MOST_UNPACKED, [(file, order.needs(file, sizes[file])) for file in order.hot]))
    else:
        from incamera.runtime.images.archive import make_archive

        make_archive(bundle.path, entries, order.hot, out)
    with out.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return facts | {"digest": digest, "bytes": out.stat().st_size}


def _until(most: int, files: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    for file, size in files:
        most -= size
        if most < 0:
            return
        yield file, size


def ensure_mksquashfs(context: Context, step: Step | None = None) -> list[str]:
    """Return how mksquashfs is started: Debian's, of the same version everywhere, through its own loader."""
    host = require_host()
    debs = DebSet(
        suite="bookworm",
        architecture=host.debian,
        roots=("squashfs-tools",),
        leave_out=frozenset({"debconf", "gcc-12-base"}),
    )
    tree = ensure_deb_tree(context, "squashfs-tools", debs, step=step)
    return HostTree(tree, host).argv(tree / "usr/bin/mksquashfs")
