"""Images: a bundle's runtime as one file, in the form that a device can mount or unpack; kept in the store."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.build.deb_trees import ensure_deb_tree
from incamera.build.keys import MOST_KEPT
from incamera.digest import Sha256
from incamera.runtime.bundle import MANIFEST
from incamera.runtime.images import Image, app_entries, runtime_entries
from incamera.runtime.images.archive import make_archive
from incamera.runtime.images.order import plan_order
from incamera.runtime.images.squashfs import COMPRESSIONS, adler32_of, make_squashfs, move_large_to_end, parse_layout
from incamera.runtime.layout import APP
from incamera.store import damaged
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
# Increase it when images made from the same runtime change.
_FORMAT = 5
# The most that is read and unpacked before a start, in bytes, even if a runtime's packages import more.
_MAX_READ_AHEAD = 24 << 20
_MAX_UNPACKED_AHEAD = 64 << 20
_FILE = "image"
_FACTS = "facts.json"


def find_compression(mountable: Sequence[str]) -> str | None:
    """Return the best of the compressions in *mountable*, whose images a device can mount; None: there is none."""
    return next((name for name in COMPRESSIONS if name in mountable), None)


def ensure_image(
    context: Context,
    bundle: Bundle,
    form: Form,
    *,
    compression: str = DEFAULT_COMPRESSION,
    step: Step | None = None,
) -> Image:
    """Return the runtime of *bundle* in *form*; if the store does not have it, make it. Raises ToolFailed."""
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
        out = tree / _FILE
        program = ensure_mksquashfs(context, step) if form is Form.squashfs else []
        counted = 0 if program else unpacked  # mksquashfs does not tell how far it is
        with step.phase("making the image", "image made", counted) if step else nullcontext(lambda _: None) as advance:
            if form is Form.squashfs:
                facts = _make_squashfs(bundle, compression, program, out)
            else:
                facts = _make_archive(bundle, out, advance)
        with out.open("rb") as stream:
            digest = Sha256.of_stream(stream)
        facts |= {"digest": digest, "bytes": out.stat().st_size, "unpacked": unpacked}
        (tree / _FACTS).write_text(json.dumps(facts), "utf-8")

    tree, _ = context.store.ensure_tree("images", key, build, most=MOST_KEPT)
    try:
        facts: dict[str, Any] = json.loads((tree / _FACTS).read_text("utf-8"))
        facts["digest"] = Sha256(facts["digest"])
        return Image(form=form, path=tree / _FILE, compression=compression, **facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(f"{tree / _FACTS}: {error}") from error


def build_image(context: Context, bundle: Bundle, form: Form) -> Image:
    """Return the image of *bundle* in *form*, and report it as a step. Raises ToolFailed."""
    with context.reporter.step("image") as step:
        image = ensure_image(context, bundle, form, step=step)
        step.note(f"{form}, {format_bytes(image.bytes)} of {format_bytes(image.unpacked)}")
    return image


def _make_squashfs(bundle: Bundle, compression: str, program: Sequence[str], out: Path) -> dict[str, object]:
    """Write the squashfs image *out* with mksquashfs (*program*).

    Returns the parts of it that are read ahead before a start ("reads", with their "check"), and the files with the
    number of bytes that are unpacked ahead ("unpacks").
    """
    entries = runtime_entries(bundle.entries)
    order = plan_order(bundle.path, entries, bundle.target)
    sizes = {entry.path: entry.size for entry in entries}
    own = {entry.path.partition("/")[0] for entry in app_entries(bundle.entries)} | {APP, MANIFEST}
    whole = move_large_to_end(order.whole, sizes)
    make_squashfs(program, bundle.path, sorted(own), [*whole, *order.rest, *order.parts], compression, out)
    with (
        out.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as view,
    ):
        layout = parse_layout(view)
        reads = [(layout.tables, len(view)), (0, min(layout.hot_bytes(whole[-1]), _MAX_READ_AHEAD))]
        reads += [layout.part(file, *part) for file, parts in order.parts.items() for part in parts]
        check = adler32_of(view, reads)
    unpacks = _take_until(_MAX_UNPACKED_AHEAD, [(file, order.bytes_read(file, sizes[file])) for file in order.hot])
    return {"reads": reads, "check": check, "unpacks": list(unpacks)}


def _take_until(limit: int, files: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Yield *files* and their sizes until the sum of the sizes exceeds *limit*."""
    for file, size in files:
        limit -= size
        if limit < 0:
            return
        yield file, size


def _make_archive(bundle: Bundle, out: Path, advance: Callable[[int], None]) -> dict[str, object]:
    entries = runtime_entries(bundle.entries)
    order = plan_order(bundle.path, entries, bundle.target)
    make_archive(bundle.path, entries, order.hot, out, advance)
    return {}


def ensure_mksquashfs(context: Context, step: Step | None = None) -> list[str]:
    """Return the command that starts mksquashfs: always Debian 12's, so that equal inputs give equal images."""
    host = require_host()
    debs = DebSet(
        suite="bookworm",
        architecture=host.debian,
        roots=("squashfs-tools",),
        leave_out=frozenset({"debconf", "gcc-12-base"}),
    )
    tree = ensure_deb_tree(context, "squashfs-tools", debs, step=step)
    return HostTree(tree, host).argv(tree / "usr/bin/mksquashfs")
