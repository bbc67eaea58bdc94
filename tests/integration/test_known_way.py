"""A project of the known way's shape: setup.py, Cython over C files that call VDO, larod and bbox themselves.

It is built with headers of incamera's own and with those of an SDK's image, audited, and run in virtual cameras. What
it sees there through C is what acap sees there and on this computer, bit for bit.
"""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from incamera.build.camera_sdk import CameraUse, ensure_sdk
from incamera.build.toolchain import ensure_toolchain
from incamera.sdk.tables import load_libraries
from incamera.targets.target import Target
from incamera.toolchain.plan import Compiler

from ..container_images import TOP, image_of, layout_files, make_layer, write_files
from ..unit.acap_inference.conftest import built_module, inference
from ..unit.acap_inference.networks import example
from ..unit.acap_inference.reference import convert
from ..unit.acap_video.scene import brightness, decode_h264, read_code, square_left
from ..unit.examples.conftest import acap_folder, locally
from .cameras import DEFAULT_PROFILE, on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

    from ..unit.examples.conftest import Locally
    from .command import Run

__all__ = ["acap_folder", "built_module", "inference", "locally"]
pytestmark = pytest.mark.matrix

WIDTH, HEIGHT = 320, 240
NETWORKS = ("int8", "uint8")
SCRIPTS = {
    "armv7hf": ("environment-setup-cortexa9hf-neon-poky-linux-gnueabi", "-mthumb -mfpu=neon -mfloat-abi=hard"),
    "aarch64": ("environment-setup-cortexa53-crypto-poky-linux", "-mcpu=cortex-a53+crc+crypto"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "known_way"
    shutil.copytree(Path(__file__).parent / "projects/known_way", folder)
    for name in NETWORKS:
        (folder / f"networks/{name}.tflite").write_bytes(example(name).render())
    return folder


@dataclass
class Frame:
    y: Any
    uv: Any


@on(DEFAULT_PROFILE, "axis-os-11-aarch64")
@pytest.mark.usefixtures("inference")
def test_same_on_the_desk_in_the_camera_and_through_c(
    camera: VirtualCamera, incamera: Run, project: Path, locally: Locally
) -> None:
    done = incamera("run", "--device", camera.name, "--", "through_acap", "through_c", cwd=project)
    assert done.code == 0, done.err
    told = json.loads(done.out.splitlines()[-1])
    # As in a camera: the scene does not begin with the first picture.
    desk = locally(project, "--", "through_acap", INCAMERA_SCENE_BEGIN="0")
    assert desk.returncode == 0, desk.stderr
    told["on the desk"] = json.loads(desk.stdout.splitlines()[-1])["through_acap"]
    drawn = []
    for way in ("through_acap", "through_c", "on the desk"):
        frame = captured(told[way]["capture"])
        for name in NETWORKS:
            assert base64.b64decode(told[way][name]) == outputs(project / f"networks/{name}.tflite", frame), (way, name)
        drawn.append(overlay(base64.b64decode(told[way]["box"])))
    assert (drawn[0][0] != 0).sum() > 1000
    for other in drawn[1:]:
        for plane, same in zip(drawn[0], other, strict=True):
            assert np.array_equal(plane, same)


def captured(told: Any) -> Frame:
    """Return the frame that was captured. It is that of the known scene, bit for bit."""
    sequence, microseconds, pitch, data = told
    rows = np.frombuffer(base64.b64decode(data), np.uint8)[: pitch * HEIGHT * 3 // 2].reshape(-1, pitch)[:, :WIDTH]
    frame = Frame(rows[:HEIGHT], rows[HEIGHT:].reshape(HEIGHT // 2, WIDTH // 2, 2))
    y, uv = scene(sequence, microseconds)
    assert np.array_equal(frame.y, y)
    assert np.array_equal(frame.uv, uv)
    return frame


def scene(sequence: int, microseconds: int) -> tuple[Any, Any]:
    """Return brightness and colours of the known scene: only the square has a colour."""
    uv = np.full((HEIGHT // 2, WIDTH // 2, 2), 128, np.uint8)
    side, top = HEIGHT // 4 & ~1, HEIGHT // 2 & ~1
    left = square_left(WIDTH, HEIGHT, microseconds)
    uv[top // 2 : (top + side) // 2, left // 2 : (left + side) // 2] = (90, 240)
    return brightness(WIDTH, HEIGHT, sequence, microseconds), uv


def outputs(path: Path, frame: Frame) -> bytes:
    """Return what the network *path* gives for *frame* on this computer, after a conversion in numpy."""
    import acap

    with acap.inference.Model(path) as model:
        _, height, width, _ = model.inputs[0].shape
        picture = convert(frame, width, height)
        found = model.run(picture if path.stem == "uint8" else (picture ^ 0x80).view("int8"))
        return b"".join(np.asarray(output).tobytes() for output in found)


def overlay(data: bytes) -> tuple[Any, Any]:
    """Return brightness and colours where a picture differs from the scene, 0 elsewhere."""
    [picture] = decode_h264([data])
    planes = picture.to_ndarray(format="yuv420p")
    y, u, v = np.split(planes.reshape(-1), [WIDTH * HEIGHT, WIDTH * HEIGHT * 5 // 4])
    y = y.reshape(HEIGHT, WIDTH)
    uv = np.stack([u, v], 1).reshape(HEIGHT // 2, WIDTH // 2, 2)
    wanted_y, wanted_uv = scene(*read_code(y))
    return np.where(y != wanted_y, y, 0), np.where(uv != wanted_uv, uv, 0)


@on(DEFAULT_PROFILE, "axis-os-11-aarch64")
def test_project_is_built_with_either_headers_audited_and_run(
    context: Context, camera: VirtualCamera, incamera: Run, project: Path, tmp_path: Path
) -> None:
    architecture = camera.profile.rpartition("-")[2]
    assert seen(camera, incamera, project) == "builtin"
    name = f"vendor/known-way:1.0-{architecture}"
    write_files(tmp_path / "layout", layout_files({name: image_of(*sdk_image(context, architecture))}))
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8").replace('"builtin"', f'"{name}"'), "utf-8")
    added = incamera("sdk", "add", name, "--from", tmp_path / "layout")
    assert added.code == 0, added.err
    try:
        assert seen(camera, incamera, project) == "image"
    finally:
        assert incamera("sdk", "remove", name).code == 0


def seen(camera: VirtualCamera, incamera: Run, project: Path) -> str:
    """Audit the project and run it; it captures a frame of the scene. Returns where its headers were from."""
    target = camera.profile.rpartition("-")[2]
    audited = incamera("audit", "--target", target, "--profile", camera.profile, "--json", cwd=project)
    assert (audited.code, json.loads(audited.out)["findings"]) == (0, []), audited.err
    assert "of this computer" not in audited.err
    done = incamera("run", "--device", camera.name, "--", "through_c", cwd=project)
    assert done.code == 0, done.err
    told = json.loads(done.out.splitlines()[-1])["through_c"]
    captured(told["capture"])
    return str(told["headers"])


def sdk_image(context: Context, architecture: str) -> tuple[bytes, bytes]:
    """Return the layers of an image that has the camera's libraries and GLib where the vendor's has them."""
    target = Target.parse(f"{architecture}-cp311")
    libraries = tuple(load_libraries().values())
    sysroot = ensure_toolchain(context, target, Compiler.gcc, camera=CameraUse(libraries)).sysroot / "usr"
    camera = ensure_sdk(context, target)
    usr = f"{TOP}/sysroots/{architecture}/usr"
    files: dict[str, bytes | str | None] = {}
    for folder, place in ((camera / "include", "include"), (sysroot / "include/glib-2.0", "include/glib-2.0")):
        for path in folder.rglob("*.h"):
            files[f"{usr}/{place}/{path.relative_to(folder)}"] = b"#define FROM_THE_IMAGE 1\n" + path.read_bytes()
    [config] = sysroot.glob("lib/*/glib-2.0/include/glibconfig.h")
    files[f"{usr}/lib/glib-2.0/include/glibconfig.h"] = config.read_bytes()
    built = {path.name: path for path in (camera / "lib").glob("*.so")}
    built |= {f"lib{name}-2.0.so": config.parents[2] / f"lib{name}-2.0.so" for name in ("glib", "gobject", "gio")}
    files |= {f"{usr}/lib/{name}": path.read_bytes() for name, path in built.items()}
    files |= {f"{usr}/lib/pkgconfig/{name}.pc": text.encode() for name, text in pkg_config(libraries).items()}
    script, flags = SCRIPTS[architecture]
    text = f'export SDKTARGETSYSROOT=/{TOP}/sysroots/{architecture}\nexport CC="gcc {flags}"\nexport CFLAGS="-O2"\n'
    return make_layer({f"{TOP}/{script}": text.encode()}), make_layer(files)


def pkg_config(libraries: tuple[Any, ...]) -> Mapping[str, str]:
    """Return the files of pkg-config that the vendor's sysroot has for *libraries* and for GLib."""
    start = (
        "prefix=/usr\nincludedir=${prefix}/include\nlibdir=${prefix}/lib\nDescription: made by a test\nVersion: 12\n"
    )
    files = {
        name: f"{start}Name: {name}\nRequires: {' '.join(library.requires)}\n"
        f"Cflags: -I${{includedir}}\nLibs: -L${{libdir}} -l{library.link}\n"
        for library in libraries
        for name in library.pkg_config
    }
    cflags = "-I${includedir}/glib-2.0 -I${libdir}/glib-2.0/include"
    for name in ("glib-2.0", "gobject-2.0", "gio-2.0"):
        files[name] = f"{start}Name: {name}\nCflags: {cflags}\nLibs: -L${{libdir}} -l{name}\n"
    return files
