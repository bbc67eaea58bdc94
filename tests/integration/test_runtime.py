"""Python inside the camera: what a user relies on, in each profile, with the older and the newer C library."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.deployment.deploy import deploy
from incamera.deployment.request import DeployRequest
from incamera.deployment.shipment import plan_shipment_for
from incamera.device.run import run_app
from incamera.device.streams import Streams
from incamera.guard.program import Guard
from incamera.project.settings import load_project
from incamera.runtime.launcher import require_launcher
from incamera.targets.profile import require_profile
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed
from tests.programs import shell

from .cameras import PROFILES, on
from .paths import PROJECTS, REPOSITORY

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.runtime.bundle import Bundle
    from incamera.virtual.camera import VirtualCamera

pytestmark = on(*PROFILES)


@pytest.fixture(scope="module")
def results(
    context: Context,
    camera: VirtualCamera,
    project_copy: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What `projects/checks` found inside the camera."""
    project = load_project(project_copy(PROJECTS / "checks"))
    output = tmp_path_factory.mktemp("results") / "output"
    with deployed(context, project, DeployRequest(device=camera.name)) as done, output.open("wb") as stream:
        python = f"{done.result.root}/bin/python3"
        program = Program((python, "checks.py"), folder=f"{done.result.root}/app")
        with Path(os.devnull).open("rb") as nothing:
            streams = Streams(stdin=nothing.fileno(), stdout=stream.fileno())
            assert run_app(done.session, done.guard.remote_path, program, streams=streams) == 0
    found: dict[str, Any] = json.loads(output.read_bytes())
    return found


@pytest.fixture
def profile(camera: VirtualCamera) -> Any:
    return require_profile(camera.profile)


def test_it_knows_where_it_is(results: dict[str, Any], profile: Any) -> None:
    found = results["identity"]
    assert found["machine"] in profile.architecture.facts.machines
    assert found["version"] == [3, 11]
    assert found["executable"] == f"{found['prefix']}/bin/python3"
    assert found["folder"].endswith(f"/{Path(found['prefix']).name}/app")
    # It would lead the camera's own programs, started by the app, to our libraries.
    assert found["library_path"] is None


def test_subprocess_starts_python_again_and_the_cameras_own_programs(results: dict[str, Any], profile: Any) -> None:
    assert results["subprocess_of_ourselves"] == [results["identity"]["executable"], "6"]
    assert results["subprocess_of_the_camera"] in profile.architecture.facts.machines


def test_multiprocessing_spawns(results: dict[str, Any]) -> None:
    assert results["multiprocessing_spawn"] == [0, 1, 4, 9]
    assert results["multiprocessing_shared_memory"] == "abc"


def test_ssl_has_certificates(results: dict[str, Any]) -> None:
    assert results["ssl_with_certificates"]["authorities"] > 100
    assert results["ssl_with_certificates"]["verify"] == "CERT_REQUIRED"


def test_the_usual_modules_work(results: dict[str, Any]) -> None:
    assert results["sqlite3"] == 3
    assert results["ctypes_libc"] == 5
    assert results["zoneinfo"] == "2026-07-01T10:00:00+00:00"
    assert results["compression"] == [True, True, True]
    assert results["hashes"] == hashlib.sha256(b"").hexdigest()
    assert results["locale_is_utf8"]["text"] == "åäö"


def test_the_absence_of_venv_is_explained(results: dict[str, Any]) -> None:
    assert "`venv` is left out" in results["venv_is_explained"]
    assert "incamera run" in results["venv_is_explained"]
    assert "Traceback" not in results["venv_is_explained"]


# Modules of other systems, of desktops, of builders; and two that maintainers of the runtime left out on purpose.
ABSENT = {
    *("_overlapped", "_winapi", "_msi", "_scproxy", "msilib", "msvcrt", "nt", "winreg", "winsound", "_osx_support"),
    *("tkinter", "_tkinter", "turtle", "turtledemo", "idlelib", "lib2to3"),
    *("ensurepip", "venv", "pydoc_data"),
    *("_dbm", "_gdbm", "nis", "_pydecimal", "_pyio"),
}


def test_every_other_module_imports(results: dict[str, Any]) -> None:
    failed = results["modules_import"]
    assert {name: why for name, why in failed.items() if name not in ABSENT} == {}


def test_numpy_works_with_openblas(results: dict[str, Any]) -> None:
    assert results["numpy"]["eigenvalues"] == pytest.approx([2.0, 5.0])
    assert results["numpy"]["dot"] == 18.0
    assert any("openblas" in name for name in results["numpy_uses_openblas"])


def test_tracebacks_name_file_and_line(results: dict[str, Any]) -> None:
    text = results["traceback_lines"]
    assert 'json.loads("{")' in text
    assert "json/decoder.py" in text


def test_byte_code_is_used(results: dict[str, Any]) -> None:
    assert results["pyc_is_used"] == {"own": "checks.py", "stdlib": "decimal.pyc", "cached": True}


def test_a_library_that_only_the_camera_has_is_loaded_from_it_and_works(results: dict[str, Any]) -> None:
    found = results["camera_only_library"]
    assert "failed" not in found, found
    assert found["value"] == 4242
    assert found["digest"] == hashlib.sha256(b"camera").hexdigest()
    assert found["type"] is True
    assert any(path.startswith(("/usr/lib/libglib-2.0.so", "/lib/libglib-2.0.so")) for path in found["maps"])


def test_of_what_both_have_the_newer_is_used(results: dict[str, Any], profile: Any) -> None:
    """A bookworm bundle (glibc 2.36) meets 2.31 in one profile and 2.41 in the other."""
    libc = [
        path for path in results["camera_only_library"]["maps"] if path.endswith("/libc.so.6") or "/libc-2." in path
    ]
    loaders = [path for path in results["camera_only_library"]["maps"] if "/ld-" in path]
    assert len(libc) == len(loaders) == 1, "one C library in a process"
    ours = profile.glibc < "2.36"
    # Processes map the runtime where it lies, whatever links their bundle's root is made of.
    assert libc[0].startswith("/tmp/incamera/") is ours
    assert loaders[0].startswith("/tmp/incamera/") is ours


def test_no_library_is_there_twice(results: dict[str, Any]) -> None:
    # By name and major version, as the loader tells them apart.
    names = [re.sub(r"(\.so\.\d+).*", r"\1", Path(path).name) for path in results["camera_only_library"]["maps"]]
    assert len(names) == len(set(names))


def test_a_bundle_runs_from_any_path(
    context: Context, camera: VirtualCamera, bundle_of: Callable[[Path, str], Bundle]
) -> None:
    """Moved elsewhere on the device, with a space and a letter beyond ASCII in its path, it still starts."""
    profile = require_profile(camera.profile)
    bundle = bundle_of(PROJECTS / "checks", profile.architecture)
    with connected(context, virtual_device(camera)) as connection:
        session = connection.session
        facts = connection.facts
        table = connection.read_libraries(bundle.sonames)
        shipment = plan_shipment_for(context, table, replace(facts, places=()), bundle)  # as one folder, with all files
        result = deploy(session, shipment, Guard(require_launcher(profile.architecture), "/tmp"))
        moved = "/tmp/mövéd here"
        session.run(shell('rm -rf "$2"; cp -a "$1" "$2"', result.destination, moved))
        code = "import sys, numpy; print(sys.prefix, numpy.arange(3).sum())"
        found = session.run(Program((f"{moved}/bin/python3", "-c", code), folder="/"))
        session.run(Program(("rm", "-rf", moved)))
    assert found.text.strip() == f"{moved} 3", found.error_text


def test_the_example_runs_in_the_camera(
    camera: VirtualCamera, incamera: Callable[..., Any], project_copy: Callable[[Path], Path]
) -> None:
    """What `make demo` shows: the C module's numbers and their sum, printed from inside the camera."""
    project = project_copy(REPOSITORY / "examples" / "numbers")
    done = incamera("run", "-q", "--device", camera.name, cwd=project)
    assert done.code == 0, done.err
    machine = require_profile(camera.profile).architecture.facts.machines[0]
    assert f"machine='{machine}'" in done.out
    assert "Covariance" in done.out
    assert "1.718279" in done.out
