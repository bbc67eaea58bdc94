"""Images of runtimes: how they are made, and how a camera mounts or unpacks them."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera import proc
from incamera.build.images import ensure_image, ensure_mksquashfs
from incamera.guard.answers import parse_answer
from incamera.runtime.images import runtime_entries
from incamera.runtime.images.order import plan_order
from incamera.runtime.images.squashfs import COMPRESSIONS, make_squashfs, move_large_to_end
from incamera.runtime.launcher.protocol import Activated, Answer, ExitCode, Listed, Tried
from incamera.targets.form import Form
from incamera.tree import list_tree

from ..waiting import wait_until
from .cameras import SMALL_PROFILE, inside, on
from .project import write_project

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.runtime.bundle import Bundle
    from incamera.virtual.camera import VirtualCamera

    from .command import Finished, Run

CARD = "/var/spool/storage/SD_DISK"
APP = "import sys\nimport numpy\nprint('numpy', numpy.arange(4).sum(), sys.prefix)\n"
EMPTY = "print('here')\n"

pytestmark = on(SMALL_PROFILE)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "numbers"
    return write_project(folder, app=APP, dependencies='["numpy"]', name="numbers")


@pytest.fixture(scope="module")
def bundle(numbers: Path, bundle_of: Callable[[Path, str], Bundle]) -> Bundle:
    return bundle_of(numbers, "armv7hf")


@dataclass(frozen=True)
class Camera:
    """A camera and a project that is deployed to its card."""

    camera: VirtualCamera
    project: Path
    incamera: Run

    def deploy(self, *words: str, project: Path | None = None) -> dict[str, Any]:
        where = ("-C", project or self.project, "--device", self.camera.name)
        done = self.incamera("deploy", "--json", *where, "--to", "sdcard", *words)
        assert done.code == 0, done.err
        document: dict[str, Any] = json.loads(done.out)
        return document

    def run(self, *words: str) -> Finished:
        return self.incamera("run", "-C", self.project, "--device", self.camera.name, "--to", "sdcard", *words)

    def shell(self, command: str) -> str:
        return inside(self.camera, command)

    def guard(self, words: str) -> str:
        """Run the guard in the camera. Return what it prints and its exit code."""
        return self.shell(f"g=$(ls /tmp/incamera/.guard/incamera-guard-* | head -n 1); $g {words} 2>&1; echo code $?")

    def ask(self, words: str) -> Answer:
        """Return the answer of the guard to a verb that succeeds."""
        line, _, code = self.guard(words).partition("\n")
        assert code == "code 0\n", line
        return parse_answer(line.encode())

    def count_active(self) -> dict[str, int]:
        """Return how many mounts, images, loop devices and roots there are in the camera."""
        mounts = self.shell("cat /proc/mounts").splitlines()
        return {
            "mounts": len(mounts),
            "images": sum(" squashfs " in line for line in mounts),
            "loops": int(self.shell("ls -d /sys/block/loop*/loop 2>/dev/null | wc -l")),
            "roots": int(self.shell("ls /tmp/incamera-roots 2>/dev/null | wc -l")),
        }


@pytest.fixture(scope="module")
def either(camera: VirtualCamera, numbers: Path, incamera: Run) -> Camera:
    return Camera(camera, numbers, incamera)


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory,
    camera: VirtualCamera,
    incamera: Run,
) -> Camera:
    """A camera, and a project that needs nothing but Python."""
    project = write_project(tmp_path_factory.mktemp("small") / "small", app=EMPTY, name="small")
    return Camera(camera, project, incamera)


@pytest.fixture
def fresh(small: Camera) -> Iterator[Camera]:
    """The same, with nothing active in it before and after the test."""
    small.guard("deactivate")
    yield small
    small.guard("deactivate")


# On the host


def test_squashfs_of_equal_runtimes_has_equal_bytes_and_unpacks_to_the_runtime(
    context: Context, bundle: Bundle, tmp_path: Path
) -> None:
    image = ensure_image(context, bundle, Form.squashfs)
    entries = runtime_entries(bundle.entries)
    # A copy of the same runtime, with other times, other modes of folders, and another order on the disk.
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy", symlinks=True, copy_function=shutil.copyfile))
    for entry in entries:
        if not entry.link:
            (copy / entry.path).chmod(0o555 if entry.executable else 0o444)
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir() and not path.is_symlink())]:
        folder.chmod(0o700)
    program = ensure_mksquashfs(context)
    order = plan_order(copy, entries, bundle.target)
    whole = move_large_to_end(order.whole, {entry.path: entry.size for entry in entries})
    files = [*whole, *order.rest, *order.parts]
    make_squashfs(program, copy, ["app", "bundle.json"], files, image.compression, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == image.path.read_bytes()
    unsquashfs = [word.replace("mksquashfs", "unsquashfs") for word in program]
    unsquashfs[-1] = str(Path(program[-1]).with_name("unsquashfs"))
    proc.run([*unsquashfs, "-n", "-d", tmp_path / "out", image.path], purpose="unpack")
    assert list_tree(tmp_path / "out") == list(entries)
    assert image.bytes < image.unpacked / 2


def test_start_reads_only_the_part_of_openblas_that_loading_needs(context: Context, bundle: Bundle) -> None:
    image = ensure_image(context, bundle, Form.squashfs)
    library = max((bundle.path / "lib").glob("libopenblas*"), key=lambda path: path.stat().st_size)
    size, needed = library.stat().st_size, dict(image.unpacks)[f"lib/{library.resolve().name}"]
    assert 0 < needed < size / 4
    reads = [end - start for start, end in image.reads]
    assert sum(reads) < image.bytes / 2
    with image.path.open("rb") as stream:
        check = 1
        for (start, _), length in zip(image.reads, reads, strict=True):
            stream.seek(start)
            check = zlib.adler32(stream.read(length), check)
    assert check == image.check


def test_archive_unpacks_to_the_runtime(context: Context, bundle: Bundle, tmp_path: Path) -> None:
    image = ensure_image(context, bundle, Form.archive)
    with tarfile.open(image.path) as archive:
        archive.extractall(tmp_path / "out", filter="tar")
    assert list_tree(tmp_path / "out") == list(runtime_entries(bundle.entries))


def test_hot_part_holds_every_library_and_module_of_an_import(bundle: Bundle) -> None:
    order = plan_order(bundle.path, runtime_entries(bundle.entries), bundle.target)
    names = {path.rpartition("/")[2].partition(".")[0] for path in order.hot}
    # From a trace of `import numpy`. An extension module imports secrets, which needs libcrypto.
    traced = {"_multiarray_umath", "_multiarray_tests", "libopenblas", "libgfortran", "libcrypto", "mtrand", "secrets"}
    assert traced | {"_umath_linalg", "_pocketfft_internal", "_ctypes", "libffi", "pickle", "ipaddress"} <= names


def test_bundle_has_one_of_two_libraries_with_the_same_symbols(bundle: Bundle) -> None:
    for name in ("libblas.so.3", "liblapack.so.3"):
        assert (bundle.path / "lib" / name).readlink() == Path("libopenblas.so.0")


# In cameras


@on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64"])
@pytest.mark.parametrize("form", ["squashfs", pytest.param("archive", marks=pytest.mark.matrix)])
def test_numpy_runs_from_a_card_that_is_mounted_noexec(either: Camera, form: str) -> None:
    assert " noexec" in either.shell(f"grep ' {CARD} ' /proc/mounts").replace(",", " ")
    done = either.deploy("--form", form)
    assert done["form"] == form
    assert done["root"] == f"/tmp/incamera-roots/{Path(done['destination']).name}"
    ran = either.run("--form", form)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("numpy 6 /tmp/incamera-roots/"), ran.out
    there = either.shell(f"ls {done['destination']} {CARD}/incamera/.images")
    assert "lib" not in there.split()
    assert (".squashfs" if form == "squashfs" else ".tar.gz") in there


@pytest.mark.matrix
def test_second_activation_returns_the_same_root(fresh: Camera) -> None:
    done = fresh.deploy("--form", "squashfs")
    before = fresh.count_active()
    assert fresh.ask(f"activate {done['destination']}") == Activated(root=done["root"])
    assert fresh.count_active() == before
    listed = set(fresh.shell(f"ls {done['root']}").split())
    assert listed - {"device"} == {"app", "bin", "bundle.json", "etc", "lib", "libexec", "share"}
    assert fresh.shell(f"{done['root']}/bin/python3 {done['root']}/app/app.py") == "here\n"
    tried = fresh.ask("try-images")
    assert isinstance(tried, Tried)
    assert set(COMPRESSIONS) <= set(tried.squashfs)
    assert (tried.problem, tried.passing) == (None, False)


def test_two_apps_share_one_image(fresh: Camera, tmp_path: Path) -> None:
    other = write_project(tmp_path / "other", app=EMPTY, name="other")
    fresh.deploy("--form", "squashfs")
    fresh.deploy("--form", "squashfs", project=other)
    assert fresh.count_active()["images"] == 1
    assert fresh.shell(f"ls {CARD}/incamera/.images/*.squashfs | wc -l") == "1\n"
    listed = fresh.ask("list")
    assert isinstance(listed, Listed)
    assert {Path(root.bundle or "").parent.name for root in listed.roots} == {"small", "other"}
    assert [(image.mounted, image.used) for image in listed.images] == [(True, False)]


@pytest.mark.parametrize("edits", [4, 20])
@pytest.mark.matrix
def test_edits_leave_no_mounts_loop_devices_or_roots(fresh: Camera, edits: int) -> None:
    fresh.deploy("--form", "squashfs")
    before = fresh.count_active()
    for number in range(edits):
        (fresh.project / "app.py").write_text(f"{EMPTY}# {number}\n")
        fresh.deploy("--form", "squashfs")
    # New roots are not removed, because a run may be about to start in them; so make these old.
    fresh.shell("touch -d @946684800 /tmp/incamera-roots/*/.made-of")
    (fresh.project / "app.py").write_text(f"{EMPTY}# the last\n")
    fresh.deploy("--form", "squashfs")
    wait_until(lambda: fresh.count_active() == before, "only the last bundle is active")
    (fresh.project / "app.py").write_text(EMPTY)


@pytest.mark.matrix
def test_root_of_a_running_app_stays(fresh: Camera) -> None:
    done = fresh.deploy("--form", "squashfs")
    root = done["root"]
    fresh.shell(
        f'rm -f /tmp/up; {root}/bin/python3 -c \'import time; open("/tmp/up", "w"); time.sleep(600)\' '
        "</dev/null >/dev/null 2>&1 & echo $! >/tmp/sleeper; until [ -e /tmp/up ]; do sleep 0.1; done"
    )
    (fresh.project / "app.py").write_text(f"{EMPTY}# newer\n")
    newer = fresh.deploy("--form", "squashfs")
    assert newer["root"] != root
    fresh.guard("deactivate")
    assert fresh.shell(f"test -e {root}/lib/python3.11 && echo stays") == "stays\n"
    fresh.shell("kill $(cat /tmp/sleeper); while [ -d /proc/$(cat /tmp/sleeper) ]; do sleep 0.1; done")
    fresh.guard("deactivate")
    assert fresh.count_active()["roots"] == fresh.count_active()["images"] == 0
    (fresh.project / "app.py").write_text(EMPTY)


@pytest.mark.matrix
@pytest.mark.parametrize("form", ["squashfs", "archive"])
def test_damaged_image_is_refused_and_the_next_deploy_sends_it_again(fresh: Camera, form: str) -> None:
    done = fresh.deploy("--form", form)
    fresh.guard("deactivate")
    image = fresh.shell(f"sed -n 's/^file //p' {done['destination']}/image | head -n 1").strip()
    path = f"{CARD}/incamera/.images/{image}"
    fresh.shell(f"chmod u+w {path}; printf wrong | dd of={path} bs=1 seek=5000 conv=notrunc; sync")
    output = fresh.guard(f"activate {done['destination']}")
    assert "damaged" in output
    assert output.endswith(f"code {ExitCode.image_damaged:d}\n")
    fresh.shell(f"head -c 100000 {path} > {path}.short; mv {path}.short {path}")
    output = fresh.guard(f"activate {done['destination']}")
    assert "damaged" in output
    assert fresh.count_active()["images"] == 0
    assert fresh.shell("ls /tmp/incamera-images | wc -l") == "0\n"
    fresh.shell(f"rm {path}")
    assert fresh.guard(f"activate {done['destination']}").endswith(f"code {ExitCode.image_damaged:d}\n")
    assert fresh.deploy("--form", form)["root"] == done["root"]
    assert fresh.run("--form", form).out == "here\n"


@pytest.mark.matrix
def test_activation_succeeds_after_an_interrupted_one(fresh: Camera) -> None:
    done = fresh.deploy("--form", "archive")
    fresh.guard("deactivate")
    unpacks = "ls /tmp/incamera-images/ 2>/dev/null | grep -q partial"
    left = fresh.shell(
        "g=$(ls /tmp/incamera/.guard/incamera-guard-* | head -n 1); "
        f"$g activate {done['destination']} >/dev/null 2>&1 & "
        f"until {unpacks} || [ ! -d /proc/$! ]; do sleep 0.05; done; kill -9 $!; wait $!; ls /tmp/incamera-images"
    )
    assert ".partial" in left
    assert fresh.ask(f"activate {done['destination']}") == Activated(root=done["root"])
    assert ".partial" not in fresh.shell("ls /tmp/incamera-images")
    assert fresh.run("--form", "archive").out == "here\n"


def test_activations_at_the_same_time_give_the_same_root(fresh: Camera) -> None:
    done = fresh.deploy("--form", "squashfs")
    fresh.guard("deactivate")
    started = "for i in 1 2 3 4; do $g activate " + done["destination"] + " & done; wait"
    printed = fresh.shell(f"g=$(ls /tmp/incamera/.guard/incamera-guard-* | head -n 1); {started}")
    assert [parse_answer(line.encode()) for line in printed.splitlines()] == [Activated(root=done["root"])] * 4
    assert fresh.count_active()["images"] == 1


@pytest.mark.matrix
def test_error_for_too_little_ram_names_both_sizes(fresh: Camera) -> None:
    done = fresh.deploy("--form", "archive")
    fresh.guard("deactivate")
    try:
        fresh.shell("free=$(df -k /tmp | tail -n 1 | awk '{print $4}');fallocate -l $((free - 9000))k /tmp/ballast")
        output = fresh.guard(f"activate {done['destination']}")
    finally:
        fresh.shell("rm /tmp/ballast")
    assert output.endswith(f"code {ExitCode.no_memory:d}\n")
    assert re.search(r"takes \d+ MB; \d+ MB are free", output), output
    assert fresh.ask(f"activate {done['destination']}") == Activated(root=done["root"])
