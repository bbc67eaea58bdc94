"""`import numpy` in a virtual camera, from a network share, in each form that a runtime can lie there.

`tree` is the known way: Debian's packages, and wheels where numpy is one, unpacked as they are, Python started through
their loader with the folders that are needed. `tree, compiled` is the same with the byte-code that a first start as
root has left beside the sources. Cold: in a camera just started, nothing of the share in its memory; it has been tried
for images, as each camera is when it is first looked at (`device info`, `deploy`), which loads its kernel's squashfs.
Warm: the same once more. Two seconds pass before each. What the network does is counted by the camera's own kernel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chart import Bar, draw_chart
from incamera.build.deb_trees import unpack_debs
from incamera.build.images import DEFAULT_COMPRESSION, ensure_image
from incamera.build.sdists import fetch_distributions
from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.connect.shares import attach_share
from incamera.context import Context
from incamera.project.loading import load_project
from incamera.runtime import layout
from incamera.runtime.images import app_entries, image_text, small_app
from incamera.runtime.launcher import require_launcher
from incamera.targets.form import Form
from incamera.targets.profile import require_profile
from incamera.targets.target import Target
from incamera.transport.protocols import Program
from incamera.virtual.camera import stop_camera
from incamera.virtual.start import start_virtual
from incamera.workflows.build import build_bundle
from incamera.workflows.lock import ensure_lock
from measure import Failed, Figure, main, say, temporary_folder
from silent import SilentReporter

if TYPE_CHECKING:
    from incamera.runtime.bundle import Bundle
    from incamera.share.values import Share
    from incamera.targets.profile import Profile
    from incamera.transport.session import Session

PLACE = "/var/spool/storage/NetworkShare"
GUARD = "/tmp/incamera-guard"
CODE = "import numpy"
MEGABYTE = 1e6
# Before a start, cold or warm: the kernel puts away what was unmounted; and it believes a file's attributes for a
# second, but a user who starts again is slower than that.
PAUSE_SECONDS = 2


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One form, the medians of all rounds. bytes: what a cold start read from the share; size: what lies there."""

    name: str
    cold_round_trips: int
    warm_round_trips: int
    cold_seconds: float
    warm_seconds: float
    bytes: int
    size: int


@dataclass
class Way:
    """How a form is started: *command* runs CODE in the camera."""

    name: str
    command: str
    size: int
    cold: list[tuple[int, int, float]] = field(default_factory=list)
    warm: list[tuple[int, int, float]] = field(default_factory=list)


RESULTS: list[Measured] = []


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    target = Target.parse(arguments.target)
    context = Context.open(SilentReporter())
    with temporary_folder() as folder, ExitStack() as stack:
        _write_project(folder / "project")
        share_folder = folder / "share"
        share_folder.mkdir()
        say(f"numpy for {target}: the known way's tree, ours, images")
        bundle = build_bundle(context, load_project(folder / "project"), target)
        ways = [
            *_known_ways(context, bundle, folder / "project", share_folder),
            _our_tree(bundle, share_folder),
            *([_zip_tree(bundle, share_folder)] if arguments.zip else ()),
            *(_image(context, bundle, share_folder, form) for form in arguments.form or ("squashfs", "archive")),
        ]
        share = stack.enter_context(_served(context, share_folder))
        profile = require_profile(f"{arguments.generation}-{target.architecture}")
        for number in range(arguments.rounds):
            for way in ways:
                say(f"round {number + 1} of {arguments.rounds}: {way.name}")
                _measure_way(context, profile, share, way, arguments.name)
    RESULTS[:] = [_sum_up(way) for way in ways]
    title = f"import numpy from a network share ({target.architecture}, virtual camera, SMB)"
    if arguments.chart:
        arguments.chart.write_text(_chart(title), "utf-8")
    return _figures(target)


def _measure_way(context: Context, profile: Profile, share: Share, way: Way, name: str | None) -> None:
    # An emulator is slower where memory was used for other code before: each way gets a camera of its own.
    camera = start_virtual(context, profile, owner_pid=os.getpid(), name=name)
    try:
        with connected(context, virtual_device(camera)) as connection:
            session = connection.session
            guard = require_launcher(profile.architecture).read_bytes()
            session.require(_shell(f"cat > {GUARD} && chmod 755 {GUARD}"), purpose="bring the guard", input=guard)
            attach_share(context, connection, share)
            session.require(Program((GUARD, "try-images")), purpose="try which images it takes")
            session.require(_shell("sync; echo 3 > /proc/sys/vm/drop_caches"), purpose="forget what was read")
            time.sleep(PAUSE_SECONDS)
            way.cold.append(_count(session, way))
            time.sleep(PAUSE_SECONDS)
            way.warm.append(_count(session, way))
    finally:
        stop_camera(context.store, camera.name)


def _figures(target: Target) -> list[Figure]:
    known = RESULTS[0]
    trips = f"known way: {known.cold_round_trips} cold, {known.warm_round_trips} warm"
    figures = []
    for found in RESULTS:
        name, ours = found.name, found.name == "squashfs"

        def add(
            what: str, value: float, unit: str, baseline: str, goal: float, name: str = name, ours: bool = ours
        ) -> None:
            limit = goal if ours and goal else None
            figures.append(Figure(name=f"{name}, {what}", value=value, unit=unit, goal=limit, baseline=baseline))

        add("cold", found.cold_round_trips, "round trips", trips, 60)
        add("warm", found.warm_round_trips, "round trips", trips, 5)
        add("cold", found.cold_seconds, "s", f"known way: {known.cold_seconds:.1f} s", round(known.cold_seconds / 3, 2))
        add("warm", found.warm_seconds, "s", f"known way: {known.warm_seconds:.1f} s", 0)
        limit = 18 if target.architecture == "armv7hf" else 0
        add("size", found.size / MEGABYTE, "MB", f"known way: {known.size / MEGABYTE:.0f} MB", limit)
    return figures


def _write_project(folder: Path) -> None:
    folder.mkdir()
    (folder / "app.py").write_text(f"{CODE}\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "startup"\nversion = "1"\ndependencies = ["numpy"]\n\n[tool.incamera]\n'
    )


# What lies on the share.


def _known_ways(context: Context, bundle: Bundle, project: Path, share: Path) -> list[Way]:
    from incamera.debian.index import Deb

    lock = ensure_lock(context, load_project(project), bundle.target)
    tree = share / "known"
    tree.mkdir()
    debs = [Deb(**asdict(locked)) for locked in lock.debs]
    unpack_debs(context, debs, tree, lambda path: None if path.startswith("usr/share/doc/") else path)
    for locked, wheel in fetch_distributions(context, lock).items():
        if locked.is_wheel:
            zipfile.ZipFile(wheel).extractall(tree / "usr/lib/python3/dist-packages")
    facts = bundle.target.architecture.facts
    # The camera's libc is another, so the loader is named; so are folders that Debian's maintainer scripts link into.
    libraries = [f"usr/lib/{facts.gnu}", f"lib/{facts.gnu}", f"usr/lib/{facts.gnu}/openblas-pthread"]
    libraries += [f"usr/lib/{facts.gnu}/{name}" for name in ("blas", "lapack")]
    loader = next(path for path in tree.rglob(facts.loader) if path.is_file())
    _give_links_as_files(tree)
    shutil.copytree(tree, share / "compiled", symlinks=True)
    ways = []
    for name, folder, setting in (("tree", "known", "PYTHONDONTWRITEBYTECODE=1 "), ("tree, compiled", "compiled", "")):
        root = f"{PLACE}/{folder}"
        path = ":".join(f"{root}/{each}" for each in libraries if (tree / each).is_dir())
        python = f"{root}/usr/bin/python{bundle.target.python}"
        program = f"{setting}{root}/{loader.relative_to(tree)} --library-path {path} {python}"
        ways.append(Way(name, f"{program} -c '{CODE}'", _size(tree)))
    return ways


def _give_links_as_files(tree: Path) -> None:
    """An SMB server follows links within the share and refuses those that lead out of it: the latter go."""
    for path in [*tree.rglob("*")]:
        if path.is_symlink():
            real = path.resolve()
            if not real.is_relative_to(tree) and (inside := tree / str(path.readlink()).lstrip("/")).exists():
                path.unlink()
                path.symlink_to(os.path.relpath(inside, path.parent))
            elif not real.exists():
                path.unlink()


def _our_tree(bundle: Bundle, share: Path) -> Way:
    tree = share / "ours"
    shutil.copytree(bundle.path, tree, symlinks=True)
    return Way("our tree", f"cd {PLACE}/ours/app && {PLACE}/ours/bin/python3 -c '{CODE}'", _size(tree))


def _zip_tree(bundle: Bundle, share: Path) -> Way:
    """Our tree with the standard library's byte-code in the zip that Python looks into first."""
    tree = share / "zipped"
    shutil.copytree(bundle.path, tree, symlinks=True)
    library = tree / layout.stdlib(bundle.target)
    name = f"lib/python{bundle.target.python.replace('.', '')}.zip"
    with zipfile.ZipFile(tree / name, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in sorted(library.rglob("*.pyc")):
            # os.py is the landmark by which the folder is found.
            if path != library / "os.pyc":
                archive.write(path, path.relative_to(library))
                path.unlink()
    return Way("our tree, zip", f"cd {PLACE}/zipped/app && {PLACE}/zipped/bin/python3 -c '{CODE}'", _size(tree))


def _image(context: Context, bundle: Bundle, share: Path, word: str) -> Way:
    form, _, compression = word.partition(":")
    image = ensure_image(context, bundle, Form(form), compression=compression or DEFAULT_COMPRESSION)
    folder = share / "incamera" / "startup" / word.replace(":", "-")
    for entry in app_entries(bundle.entries):
        (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / entry.path, folder / entry.path)
    (folder / "image").write_bytes(image_text(image, app=small_app(bundle.path, bundle.entries)))
    images = share / "incamera" / ".images"
    images.mkdir(exist_ok=True)
    shutil.copyfile(image.path, images / image.file)
    place = f"{PLACE}/{folder.relative_to(share)}"
    command = (
        f"r=$({GUARD} activate {place} | sed 's/.*\"root\":\"//; s/\".*//') && cd $r/app && $r/bin/python3 -c '{CODE}'"
    )
    return Way(word, command, image.bytes)


def _size(tree: Path) -> int:
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())


@contextmanager
def _served(context: Context, folder: Path) -> Iterator[Share]:
    from incamera.share.settings import ShareSettings
    from incamera.workflows.share import forget_share, served

    name = f"startup-{os.getpid()}"
    try:
        with served(context, name, ShareSettings(folder=folder)) as (share, _):
            yield share
    finally:
        forget_share(context, name)


# What the camera does.


def _shell(script: str) -> Program:
    return Program(("sh", "-c", script))


def _count(session: Session, way: Way) -> tuple[int, int, float]:
    """Run *way*; return its round trips, the bytes that were read, and the seconds, all as the camera counted them."""
    look = "cat /proc/fs/cifs/Stats"
    script = f"""
{look}; echo ==; cut -d' ' -f1 /proc/uptime; echo ==
( {way.command} ) || exit 1
echo ==; cut -d' ' -f1 /proc/uptime; echo ==; {look}
"""
    done = session.run(_shell(script), timeout=300)
    if done.exit_code:
        raise Failed(f"{way.name}: {done.error_text}")
    before, began, _, ended, after = done.stdout.decode().split("==")
    (trips, size), (trips_before, size_before) = _count_smb(after), _count_smb(before)
    return trips - trips_before, size - size_before, float(ended) - float(began)


def _count_smb(text: str) -> tuple[int, int]:
    lines = [line.split() for line in text.splitlines()]
    trips = sum(int(words[1]) for words in lines if words and words[0] == "SMBs:")
    size = sum(int(words[2]) for words in lines if words[:2] == ["Bytes", "read:"])
    return trips, size


def _sum_up(way: Way) -> Measured:
    def median(rows: Sequence[tuple[int, int, float]], column: int) -> float:
        return statistics.median(row[column] for row in rows)

    return Measured(
        name=way.name,
        cold_round_trips=round(median(way.cold, 0)),
        warm_round_trips=round(median(way.warm, 0)),
        cold_seconds=round(median(way.cold, 2), 2),
        warm_seconds=round(median(way.warm, 2), 2),
        bytes=round(median(way.cold, 1)),
        size=way.size,
    )


def _chart(title: str) -> str:
    def label(found: Measured) -> str:
        return {"tree": "the known way", "tree, compiled": "… compiled"}.get(found.name, found.name)

    bars = [
        (
            "round trips, cold",
            [Bar(label(found), found.cold_round_trips, f"{found.cold_round_trips}") for found in RESULTS],
        ),
        (
            "round trips, warm",
            [Bar(label(found), found.warm_round_trips, f"{found.warm_round_trips}") for found in RESULTS],
        ),
        ("seconds, cold", [Bar(label(found), found.cold_seconds, f"{found.cold_seconds:.1f} s") for found in RESULTS]),
        ("seconds, warm", [Bar(label(found), found.warm_seconds, f"{found.warm_seconds:.1f} s") for found in RESULTS]),
    ]
    return draw_chart(title, bars)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="armv7hf", help="measure for this target (%(default)s)")
    parser.add_argument("--generation", default="axis-os-11", help="on this generation of cameras (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measure so often, take the medians (%(default)s)")
    parser.add_argument("--form", action="append", metavar="FORM[:COMPRESSION]", help="measure this form of image only")
    parser.add_argument("--zip", action="store_true", help="measure a tree with a zip of the standard library, too")
    parser.add_argument("--name", help="the virtual camera's name")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw a chart (docs/images/startup-TARGET.svg)")


if __name__ == "__main__":
    sys.exit(
        main(
            measure,
            __doc__,
            timeout=1800,
            add_options=add_options,
            more=lambda: {"images": [asdict(found) for found in RESULTS]},
        )
    )
