"""`guard receive`: what was lost or changed on the device is sent again by the next deploy."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from incamera.guard.sync import Shipment, ShippedImage, plan_shipment
from incamera.runtime.launcher.protocol import ExitCode
from incamera.targets.form import Form
from incamera.tree import list_tree, tree_digest

if TYPE_CHECKING:
    from tests.unit.guard.conftest import Receiver

    Start = Callable[..., Receiver]

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def app(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "app").mkdir(parents=True)
    (root / "app" / "app.py").write_text("print(1)\n")
    return root


@pytest.fixture
def runtime(tmp_path: Path) -> ShippedImage:
    root = tmp_path / "runtime"
    (root / "bin").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "bin" / "python3").write_bytes(os.urandom(50_000))
    (root / "bin" / "python3").chmod(0o755)
    (root / "bin" / "python").symlink_to("python3")
    (root / "lib" / "os.py").write_text("name = 'posix'\n")
    entries = tuple(list_tree(root))
    return ShippedImage(form=Form.tree, file=tree_digest(entries), path=root, size=0, entries=entries)


@pytest.fixture
def image(tmp_path: Path) -> ShippedImage:
    data = os.urandom(700_000)
    path = tmp_path / f"{hashlib.sha256(data).hexdigest()}.squashfs"
    path.write_bytes(data)
    return ShippedImage(form=Form.squashfs, file=path.name, path=path, size=len(data))


def ship(app: Path, image: ShippedImage, **extra: bytes) -> Shipment:
    text = f"form {image.form}\nfile {image.file}\nsize {image.size}\n".encode()
    return plan_shipment("doorbell", app, list_tree(app), extra_files={"image": text, **extra}, image=image)


def deploy_tree(start: Start, app: Path, runtime: ShippedImage, *words: str) -> tuple[bool, list[str]]:
    """Deploy as a host does. Returns whether the runtime was repaired, and what was sent of it."""
    repaired, sent = False, []
    first = start(ship(app, runtime), *words)
    first.offer()
    if first.finish() == ExitCode.image_missing:
        tree = start(Shipment(app=".images", root=runtime.path, entries=runtime.entries), *words, name=runtime.file)
        sent = tree.offer() or []
        assert tree.finish() == 0, tree.stderr
        repaired = tree.repaired
        first = start(ship(app, runtime), *words)
        first.offer()
    assert first.finish() == 0, first.stderr
    return repaired, sent


def lose(file: Path) -> None:
    file.unlink()


def cut_short(file: Path) -> None:
    file.chmod(0o644)
    os.truncate(file, 10)


def change(file: Path) -> None:
    """Change the bytes alone, as a failing card does."""
    times = file.stat()
    file.chmod(0o644)
    data = file.read_bytes()
    file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("path", ["bin/python3", "lib/os.py"])
@pytest.mark.parametrize("damage", [lose, cut_short])
def test_damaged_files_of_a_runtime_are_sent_again(
    damage: Callable[[Path], None], path: str, app: Path, runtime: ShippedImage, tmp_path: Path, receiver: Start
) -> None:
    assert not deploy_tree(receiver, app, runtime)[0]
    assert deploy_tree(receiver, app, runtime) == (False, [])
    there = tmp_path / "apps" / ".images" / runtime.file
    damage(there / path)
    # Only that is sent. The host is told, since the bundle is active and was made of it.
    assert deploy_tree(receiver, app, runtime) == (True, [path])
    assert [entry for entry in list_tree(there) if entry.path != ".incamera-entries"] == list(runtime.entries)
    assert [path.name for path in there.parent.iterdir() if path.name != ".lock"] == [runtime.file]
    assert deploy_tree(receiver, app, runtime) == (False, [])


@pytest.mark.parametrize("damage", [lose, cut_short])
def test_damaged_listing_of_a_runtime_is_written_again(
    damage: Callable[[Path], None], app: Path, runtime: ShippedImage, tmp_path: Path, receiver: Start
) -> None:
    deploy_tree(receiver, app, runtime)
    there = tmp_path / "apps" / ".images" / runtime.file
    damage(there / ".incamera-entries")
    # Without one, nothing tells what the files are: all are sent.
    assert deploy_tree(receiver, app, runtime)[1] == (["bin/python3", "lib/os.py"] if damage is lose else [])
    assert [entry for entry in list_tree(there) if entry.path != ".incamera-entries"] == list(runtime.entries)
    assert deploy_tree(receiver, app, runtime) == (False, [])
    lose(there / "lib" / "os.py")
    assert deploy_tree(receiver, app, runtime) == (True, ["lib/os.py"])


def test_lost_link_of_a_runtime_is_made_again(
    app: Path, runtime: ShippedImage, tmp_path: Path, receiver: Start
) -> None:
    deploy_tree(receiver, app, runtime)
    link = tmp_path / "apps" / ".images" / runtime.file / "bin" / "python"
    link.unlink()
    assert deploy_tree(receiver, app, runtime) == (True, [])
    assert link.readlink() == Path("python3")


def test_process_that_runs_from_a_damaged_runtime_is_left_alone(
    app: Path, runtime: ShippedImage, tmp_path: Path, receiver: Start
) -> None:
    shutil.copy("/bin/sleep", runtime.path / "bin" / "python3")
    entries = tuple(list_tree(runtime.path))
    runtime = ShippedImage(form=Form.tree, file=tree_digest(entries), path=runtime.path, size=0, entries=entries)
    deploy_tree(receiver, app, runtime)
    there = tmp_path / "apps" / ".images" / runtime.file
    with subprocess.Popen([there / "bin" / "python3", "60"]) as running:
        lose(there / "lib" / "os.py")
        assert deploy_tree(receiver, app, runtime) == (True, ["lib/os.py"])
        aside = there.with_name(f"{there.name}.damaged")
        assert (aside / "bin" / "python3").exists(), "it is still mapped"
        running.kill()
    (app / "app" / "app.py").write_text("print(2)\n")
    deploy_tree(receiver, app, runtime)
    wait_until(lambda: not aside.exists(), "the damaged runtime, from which nothing runs, is removed")


def deploy_image(start: Start, app: Path, image: ShippedImage, *words: str) -> tuple[bool, bool]:
    """Deploy as a host does. Returns whether the image was repaired, and whether it was sent."""
    one = start(ship(app, image), *words)
    one.offer()
    assert one.finish() == 0, one.stderr
    return one.repaired, one.image_from is not None


@pytest.mark.parametrize("words", [(), ("keep",)])
@pytest.mark.parametrize("damage", [lose, cut_short])
def test_damaged_image_is_sent_again(
    damage: Callable[[Path], None],
    words: tuple[str, ...],
    app: Path,
    image: ShippedImage,
    tmp_path: Path,
    receiver: Start,
) -> None:
    assert deploy_image(receiver, app, image, *words) == (False, True)
    there = tmp_path / "apps" / ".images" / image.file
    damage(there)
    # One that is gone was not mounted from this place; one that was replaced may be mounted still.
    assert deploy_image(receiver, app, image, *words) == (damage is not lose, True)
    assert there.read_bytes() == image.path.read_bytes()
    assert deploy_image(receiver, app, image, *words) == (False, False)


def test_verify_finds_files_whose_bytes_changed(
    app: Path, image: ShippedImage, runtime: ShippedImage, tmp_path: Path, receiver: Start
) -> None:
    deploy_image(receiver, app, image)
    there = tmp_path / "apps" / ".images" / image.file
    change(there)
    assert deploy_image(receiver, app, image) == (False, False)
    assert deploy_image(receiver, app, image, "verify") == (True, True)
    assert deploy_image(receiver, app, image, "verify") == (False, False)

    deploy_tree(receiver, app, runtime)
    change(tmp_path / "apps" / ".images" / runtime.file / "lib" / "os.py")
    assert deploy_tree(receiver, app, runtime) == (False, [])
    assert deploy_tree(receiver, app, runtime, "verify") == (True, ["lib/os.py"])
    change((tmp_path / "apps" / "doorbell" / "current").resolve() / "app" / "app.py")
    one = receiver(ship(app, runtime), "verify")
    assert one.offer() == ["app/app.py"]
    assert one.send() == 0
    assert one.repaired


# Guards of other versions


def test_unused_guards_of_other_versions_are_removed(
    app: Path, image: ShippedImage, tmp_path: Path, launcher: Path
) -> None:
    from tests.unit.guard.conftest import Receiver

    folder = tmp_path / "apps" / ".guard"
    folder.mkdir(parents=True)
    names = {
        name: folder / f"incamera-guard-{name}" for name in ("ours", "old", "running", "recent", "ahead", "half.77")
    }
    for name, path in names.items():
        shutil.copy(launcher, path)
        hours = {"recent": 0.5, "ahead": -5}.get(name, 2)
        os.utime(path, (time.time() - hours * 3600,) * 2)
    (folder / "of-the-user").write_text("")
    os.utime(folder / "of-the-user", (1, 1))
    used: list[str | Path] = [names["running"], "receive", tmp_path / "apps", "gate", "waits-for-its-listing"]
    with subprocess.Popen(used, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as other:
        try:
            one = Receiver(names["ours"], tmp_path / "apps", ship(app, image))
            one.offer()
            assert one.send() == 0
            wait_until(lambda: not names["old"].exists() and not names["half.77"].exists(), "old guards are removed")
            assert other.poll() is None
        finally:
            other.kill()
    left = {path.name.removeprefix("incamera-guard-") for path in folder.iterdir()}
    assert left == {"ours", "running", "recent", "ahead", "of-the-user"}
    # The clock went back: from now on it ages.
    assert names["ahead"].stat().st_mtime <= time.time()
    assert names["ours"].stat().st_mtime > time.time() - 600
