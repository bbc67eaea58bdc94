"""Errors of all of acap: each is also a builtin one, and says what to do."""

from __future__ import annotations

import asyncio
import builtins
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.acap_video.conftest import NEWEST, PACKAGE, STAND_INS, built_module, fresh_settings, video

import acap
from acap import errors

__all__ = ["built_module", "fresh_settings", "video"]

BUILTIN = tuple(
    one
    for one in vars(builtins).values()
    if isinstance(one, type) and issubclass(one, Exception) and one is not Exception
)
RAISED = [
    one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, acap.Error) and not one.__subclasses__()
]


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_each_exception_is_one_that_programs_catch_already(kind: type[Exception]) -> None:
    assert issubclass(kind, BUILTIN)


USES = {
    "libvdostream.so.1": "acap.video.Stream(320, 240)",
    "liblarod.so.1": "acap.inference.devices()",
    "libaxevent.so.1": "acap.events.State('Door', open=False)",
    "libaxparameter.so.1": "acap.parameters['Interval']",
    "libaxstorage.so.1": "acap.storage.Storage('SD_DISK')",
    "liblicensekey.so.1": "acap.license.is_valid('lamp', 1, '1.0')",
    "libbbox.so.1": "acap.bbox.Boxes()",
    "libaxoverlay2.so.1": "acap.overlay.Overlay(64, 32)",
}
CODE = """
import json, sys
import acap
acap.__path__.append(sys.argv[1])
told = {}
for library, use in json.loads(sys.argv[2]).items():
    try:
        eval(use)
    except (OSError, NotImplementedError) as error:
        told[library] = [[kind.__name__ for kind in type(error).__mro__], str(error)]
print(json.dumps(told))
"""


def run(code: str, *words: str, **more: str) -> Any:
    """Run *code* in a Python with acap and without a camera's libraries, and return what it prints as JSON."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ACAP_", "INCAMERA_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment | {"PYTHONPATH": str(PACKAGE / "src")} | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.starts_processes
def test_camera_without_a_library_is_told_with_its_name(built_module: Path) -> None:
    told = run(CODE, str(built_module), json.dumps(USES))
    assert list(told) == list(USES)
    for library, (kinds, text) in told.items():
        assert {"LibraryMissing", "OSError", "NotImplementedError"} <= set(kinds), library
        assert library in text
        assert "virtual" in text or "AXIS OS" in text, f"{library}: {text} does not say what to do"


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    "setting", [{"INCAMERA_AXOVERLAY_DENIED": "1"}, {"INCAMERA_RESOURCES": ""}], ids=["set", "installed"]
)
def test_app_without_overlays_in_its_manifest_is_told_what_it_lacks(
    built_module: Path, setting: dict[str, str]
) -> None:
    code = CODE.replace("import acap", "import acap, ctypes; ctypes.CDLL(sys.argv[3])", 1)
    uses = {"overlay": USES["libaxoverlay2.so.1"]}
    library = str(STAND_INS / NEWEST / "libaxoverlay2.so.1")
    told = run(code, str(built_module), json.dumps(uses), library, **setting)
    kinds, text = told["overlay"]
    assert {"DrawingDenied", "PermissionError"} <= set(kinds)
    assert '"overlay": {"enabled": true}' in text


@pytest.mark.usefixtures("video")
@pytest.mark.parametrize("is_coroutine", [False, True])
def test_exception_of_a_handler_comes_to_the_event_loop(is_coroutine: bool) -> None:
    def raise_it(value: str) -> None:
        raise RuntimeError(f"seen {value}")

    async def raise_later(value: str) -> None:
        raise_it(value)

    async def main() -> list[str]:
        seen: list[str] = []
        told = asyncio.Event()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            seen.append(str(context["exception"]))
            told.set()

        asyncio.get_running_loop().set_exception_handler(handle)
        with acap.testing.parameters(Interval=5) as camera:
            function = raise_later if is_coroutine else raise_it
            acap.parameters.on_change("Interval")(function)
            camera.change("Interval", 6)
            while not told.is_set():
                await asyncio.sleep(0.01)
                gc.collect()  # a task whose exception nobody asked for tells it when it is gone
            acap.parameters.remove_handler(function)
        return seen

    assert asyncio.run(main()) == ["seen 6"]
