"""OpenCV for ARMv7, built from its sdist by our recipe: what it adds, what it lacks, and that it works in a camera.

The first run builds it, which takes the better part of an hour; it is in the store from then on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..integration.cameras import ARCHITECTURES
from ..integration.paths import STORE
from ..integration.project import write_project

if TYPE_CHECKING:
    from ..integration.cameras import CameraPool
    from ..integration.command import Run

Build = Callable[..., dict[str, Any]]

VISION = Path(__file__).parent / "projects/vision"
# What a desktop, a media framework or another copy of OpenCV would bring, by the beginning of the library's name.
UNWANTED = (
    *("libX", "libxcb", "libwayland", "libGL", "libEGL", "libgtk", "libgdk", "libcairo", "libpango", "libQt"),
    *("libglib-", "libav", "libsw", "libgst", "libopencv", "libtbb", "libgdal", "libOpenCL", "libdc1394"),
)


@pytest.fixture(scope="module")
def project(project_copy: Callable[[Path], Path]) -> Path:
    return project_copy(VISION)


@pytest.fixture(scope="module")
def build(project: Path, incamera: Run) -> Build:
    def build(target: str, folder: Path = project) -> dict[str, Any]:
        done = incamera("build", "--json", "--target", target, "-C", folder)
        assert done.code == 0, done.err
        document: dict[str, Any] = json.loads(done.out)
        return document

    return build


@pytest.fixture(scope="module")
def built(build: Build) -> dict[str, Any]:
    return build("armv7hf")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def found(
    request: pytest.FixtureRequest,
    build: Build,
    project: Path,
    incamera: Run,
    cameras: CameraPool,
) -> dict[str, Any]:
    """What `projects/vision` found inside the camera: with our own build for ARMv7, the index's wheel on the other."""
    build(request.param)
    with cameras.lease(f"axis-os-11-{request.param}") as camera:
        done = incamera("run", "-q", "--device", camera.name, "-C", project)
    assert done.code == 0, done.err
    results: dict[str, Any] = json.loads(done.out)
    failed = [f"{name}: {value['failed']}" for name, value in results.items() if "failed" in value]
    assert not failed, "\n".join(failed)
    return results


def test_it_is_built_from_its_sdist(built: dict[str, Any]) -> None:
    sources = {item["name"]: item["source"] for item in built["distributions"]}
    assert sources == {"numpy": "deb", "opencv-python-headless": "sdist"}


def test_it_adds_at_most_40_mb(built: dict[str, Any], build: Build, tmp_path: Path) -> None:
    without = build("armv7hf", write_project(tmp_path / "plain", dependencies='["numpy"]'))
    assert 0 < built["tree_bytes"] - without["tree_bytes"] <= 40_000_000


def test_no_desktop_comes_along(built: dict[str, Any]) -> None:
    names = [path.name for path in Path(built["path"]).rglob("*.so*")]
    assert [name for name in names if name.startswith(UNWANTED)] == []
    assert "cv2.abi3.so" in names


def test_nothing_in_it_tells_where_it_was_built(built: dict[str, Any]) -> None:
    folder = Path(built["path"]) / "lib/python3/dist-packages/cv2"
    store = str(STORE).encode()
    assert [path.name for path in folder.rglob("*") if path.is_file() and store in path.read_bytes()] == []


def test_it_says_how_it_was_built(found: dict[str, Any]) -> None:
    said = found["build"]["said"]
    assert "NEON" in said["Baseline"].split()
    assert said["GUI"] == "NONE"
    assert said["Parallel framework"] == "pthreads"
    assert said["Custom HAL"].startswith("YES (carotene")
    assert len(found["build"]["modules"]) == 9


def test_picture_files_come_back_as_they_were(found: dict[str, Any]) -> None:
    files = found["image_files"]
    assert all(result["done"] for result in files.values())
    assert files.pop(".jpg")["difference"] < 4
    assert {name: result["difference"] for name, result in files.items()} == dict.fromkeys(files, 0.0)


def test_geometry(found: dict[str, Any]) -> None:
    geometry = found["geometry"]
    assert geometry["resize"] <= 1  # rounding
    assert geometry["warp there"] > 20
    assert geometry["warp there and back"] < 5


def test_features_are_found_and_matched(found: dict[str, Any]) -> None:
    features = found["features"]
    assert features["inliers"] > 0.6 * features["matches"] > 60
    assert features["corners off by pixels"] < 6
    assert features["flann"] > 100


def test_motion(found: dict[str, Any]) -> None:
    assert found["motion"]["shift"] == pytest.approx([3, 2], abs=0.1)
    assert found["motion"]["foreground"] == pytest.approx(400, abs=40)


def test_a_film_is_written_and_read(found: dict[str, Any]) -> None:
    film = found["video_files"]
    assert film["opened"]
    assert (film["frames"], film["rate"]) == (12, 12.0)
    assert film["difference"] < 10
    assert {"V4L2", "CV_MJPEG", "CV_IMAGES"} <= set(film["backends"])


def test_a_network_computes_what_it_should(found: dict[str, Any]) -> None:
    assert found["network"]["off by"] < 1e-4 < 1 < found["network"]["peak"]


def test_objects_are_found(found: dict[str, Any]) -> None:
    objects = found["objects"]
    assert objects["qr"] == "Python, in camera"
    assert objects["qr corners"] == 4
    assert objects["marker"] == [7]
    assert objects["cascade is loaded"]
    assert objects["faces in nothing"] == 0


def test_poses(found: dict[str, Any]) -> None:
    assert found["calibration"]["pose off by"] < 1e-4


def test_errors_are_exceptions(found: dict[str, Any]) -> None:
    errors = found["errors"]
    assert errors["threads"] >= 1
    assert errors["caught"] == "resize"
    assert errors["window"]
