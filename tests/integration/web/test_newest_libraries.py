"""What cameras have since AXIS OS 12, used by an installed app: axoverlay2, the Data Hub, and pictures that are cut."""

from __future__ import annotations

import base64
import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from incamera.connect.choose import choose_web_device
from incamera.connect.web import web_connected
from incamera.errors import DeviceError
from incamera.targets.profile import require_profile
from incamera.vapix.client import Call
from tests.integration.cameras import on
from tests.integration.web.signing import signed
from tests.unit.acap_video.scene import decode_picture
from tests.unit.examples.pictures import is_green
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera
    from tests.integration.command import Run

pytestmark = on("axis-os-12-armv7hf", matrix=["axis-os-12-aarch64", "axis-os-13-armv7hf", "axis-os-13-aarch64"])
Ask = Callable[[str], dict[str, Any]]
APP = "newest"


@pytest.fixture(scope="module")
def package(incamera: Run, camera: VirtualCamera, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("newest") / APP
    shutil.copytree(Path(__file__).parents[1] / "projects" / APP, folder)
    architecture = require_profile(camera.profile).architecture
    made = incamera("package", "--target", f"{architecture}-cp313", "--json", cwd=folder)
    assert made.code == 0, made.err
    return Path(json.loads(made.out)["packages"][0]["path"]).read_bytes()


def without_resources(package: bytes) -> bytes:
    """Return *package* with a manifest that asks for the group video alone."""
    changed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(package)) as old,
        tarfile.open(fileobj=changed, mode="w", format=tarfile.GNU_FORMAT) as new,
    ):
        for member in old:
            file = old.extractfile(member)
            data = file.read() if file else b""
            if member.name == "manifest.json":
                manifest = json.loads(data)
                assert {"overlay", "deviceDataHub"} <= set(manifest["resources"])
                manifest["resources"] = {"linux": {"user": {"groups": ["video"]}}}
                data = json.dumps(manifest).encode()
                member.size = len(data)
            new.addfile(member, io.BytesIO(data) if file else None)
    return gzip.compress(changed.getvalue(), 1)


@pytest.fixture
def start(camera: VirtualCamera, context: Context, incamera: Run, tmp_path: Path) -> Iterator[Callable[[bytes], Ask]]:
    """Install a package and start its app. Returns what asks the app."""
    asked: list[str] = []

    def install(package: bytes) -> Ask:
        file = tmp_path / f"{APP}.eap"
        file.write_bytes(package)
        done = incamera("install", "--device", camera.name, "--start", signed(incamera, file))
        assert done.code == 0, done.err

        def serves() -> bool:
            with suppress(DeviceError):
                return ask("nothing") == {}
            return False

        wait_until(serves, lambda: incamera("logs", "--device", camera.name, "--app", APP).out)
        asked.append(APP)
        return ask

    def ask(what: str) -> dict[str, Any]:
        with web_connected(context, choose_web_device(context, camera.name)) as client:
            answer = client.call(Call(path=f"local/{APP}/api/{what}", what=f"get {what}")).body
        found: dict[str, Any] = json.loads(answer)
        return found

    yield install
    if asked:
        assert incamera("uninstall", "--device", camera.name, "--app", APP, "--yes").code == 0


def test_app_uses_what_axis_os_12_has_brought(
    camera: VirtualCamera, package: bytes, start: Callable[[bytes], Ask]
) -> None:
    ask = start(package)

    def good(what: str) -> Any:
        told = ask(what)
        assert "good" in told, told
        return told["good"]

    for fit, given, data in good("frames"):
        assert given == fit
        left = (426 - 320) // 2 if fit == "crop" else 0
        row = np.frombuffer(base64.b64decode(data), np.uint8).reshape(240, 320)[60]
        whole = 32 + 128 * np.arange(left, left + 320) // (426 if fit == "crop" else 320)
        assert np.abs(row.astype(int) - whole).max() <= 1
    first, second = good("names")
    assert first == second
    picture = decode_picture(base64.b64decode(good("overlay"))).to_ndarray(format="rgb24")
    covered = is_green(picture)
    assert covered[2:30, 2:62].all()
    assert covered.sum() < 66 * 34
    service, square, name, topics, data, readers = good("messages")
    assert service == "data-hub"
    assert 0 <= square["left"] < square["right"] <= 1
    assert (name, data, readers) == (f"acap.{APP}.people", {"count": 3}, [False, True, False])
    assert {name, "com.axis.scene.frame.v1"} <= set(topics)
    assert good("shared") == [{"open": True}, "7", "1"]
    told = ask("broker")
    if camera.profile.startswith("axis-os-13"):
        assert list(told) == ["LibraryMissing"]
    else:
        assert 0 <= told["good"][0] < 60, told


def test_app_whose_manifest_lacks_the_resources_is_refused(package: bytes, start: Callable[[bytes], Ask]) -> None:
    ask = start(without_resources(package))
    assert "good" in ask("frames")
    [(kind, text)] = ask("overlay").items()
    assert (kind, '"overlay": {"enabled": true}' in text) == ("DrawingDenied", True), text
    [(kind, text)] = ask("messages").items()
    assert (kind, '"deviceDataHub": {"enabled": true}' in text) == ("MessageDenied", True), text
