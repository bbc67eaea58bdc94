"""An upgrade of a virtual camera from AXIS OS 11 to 12 and 13, with an app in it, and one that is undone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from incamera.targets.profile import require_profile
from incamera.virtual.camera import require_camera, stop_camera
from incamera.virtual.start import start_virtual
from tests.integration.project import write_project
from tests.integration.web.signing import signed
from tests.waiting import wait_until

if TYPE_CHECKING:
    from incamera.context import Context
    from tests.integration.command import Run

APP = """
import os, time
from pathlib import Path

kept = Path(__file__).parents[2] / "localdata" / "starts"
starts = int(kept.read_text()) if kept.exists() else 0
kept.write_text(str(starts + 1))
print("starts", starts + 1, flush=True)
while True:
    time.sleep(60)
"""
SETTINGS = '[tool.incamera.package]\nrun-mode = "respawn"\n'


@pytest.mark.parametrize("architecture", ["armv7hf", pytest.param("aarch64", marks=pytest.mark.matrix)])
def test_apps_stay_over_an_upgrade_and_one_that_does_not_fit_undoes_it(
    architecture: str, context: Context, incamera: Run, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "lookout", app=APP, name="lookout", settings=SETTINGS)
    name = f"upgraded-{os.getpid()}"
    profile = require_profile(f"axis-os-11-{architecture}")
    start_virtual(context, profile, name=name, owner_pid=os.getpid(), web=True)
    try:
        made = incamera("package", "--target", architecture, "--trim", "--json", cwd=project)
        assert made.code == 0, made.err
        package = Path(json.loads(made.out)["packages"][0]["path"])
        here = ("--device", name)

        def install(*words: object) -> None:
            done = incamera("install", *words, *here, "--start", "--allow-unsigned")
            assert done.code == 0, done.err

        def await_starts(count: int) -> None:
            def log() -> str:
                return incamera("logs", *here, "--app", "lookout").out

            wait_until(lambda: f"starts {count}" in log(), log)

        def state() -> tuple[str, str, str]:
            document = json.loads(incamera("status", *here, "--json").out)
            (app,) = document["apps"]
            return document["axis_os"], app["name"], app["state"]

        def upgrade(number: int) -> tuple[int, str]:
            done = incamera("virtual", "upgrade", f"axis-os-{number}-{architecture}", *here, "--json")
            return done.code, done.err

        install(package)
        await_starts(1)
        assert upgrade(12)[0] == 0
        await_starts(2)
        version, app, is_running = state()
        assert (version.partition(".")[0], app, is_running) == ("12", "lookout", "Running")

        code, message = upgrade(13)
        assert code != 0
        assert f"{name} stays axis-os-12-{architecture}" in " ".join(message.split())
        assert "lookout: the package is not signed" in " ".join(message.split())
        # What ran meanwhile has left nothing: the app has started once more, in the old AXIS OS.
        await_starts(3)
        assert state()[0] == version

        install(signed(incamera, package))
        await_starts(4)
        assert upgrade(13)[0] == 0
        await_starts(5)
        assert state()[0].startswith("13.")
        # It still serves without encryption, as before: only a new one does not.
        camera = require_camera(context.store, name)
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"http://127.0.0.1:{camera.http_port}/axis-cgi/basicdeviceinfo.cgi", timeout=60)
        assert upgrade(12)[0] != 0
    finally:
        stop_camera(context.store, name)
