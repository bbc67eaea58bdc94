"""Python inside the camera: what a user relies on, in each profile, with the older and the newer C library."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.deployment.deploy import deploy
from incamera.deployment.request import DeployRequest
from incamera.deployment.shipment import plan_shipment_for
from incamera.guard.program import Guard
from incamera.project.loading import load_project
from incamera.runtime.launcher import require_launcher
from incamera.targets.profile import require_profile
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed
from tests.programs import shell

from .apps import run_python
from .cameras import DEFAULT_PROFILE, PROFILES, on
from .paths import PROJECTS, REPOSITORY

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.runtime.bundle import Bundle
    from incamera.virtual.camera import VirtualCamera

# Of `make test`: each architecture and each generation.
_DIAGONAL = (DEFAULT_PROFILE, "axis-os-10-aarch64")
every_profile = on(*_DIAGONAL, matrix=[profile for profile in PROFILES if profile not in _DIAGONAL])
pytestmark = on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])

# What differs from profile to profile: the architecture, the C library, and the camera's own libraries.
BASICS = ("identity", "subprocess_of_the_camera", "numpy", "camera_only_library")


@pytest.fixture(scope="module")
def checks(
    context: Context, camera: VirtualCamera, project_copy: Callable[[Path], Path]
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs functions of `projects/checks` inside the camera, and returns their results by name."""
    project = load_project(project_copy(PROJECTS / "checks"))
    with deployed(context, project, DeployRequest(device=camera.name)) as done:

        def run(*words: str) -> dict[str, Any]:
            code, output = run_python(done, "checks.py", *words)
            assert code == 0, output
            found: dict[str, Any] = json.loads(output)
            return found

        yield run


@pytest.fixture(scope="module")
def basics(checks: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return checks(*BASICS)


@pytest.fixture(scope="module")
def results(checks: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The results of all functions but BASICS."""
    return checks("--without", *BASICS)


@pytest.fixture
def profile(camera: VirtualCamera) -> Any:
    return require_profile(camera.profile)


@every_profile
def test_python_runs_from_the_bundle(basics: dict[str, Any], profile: Any) -> None:
    found = basics["identity"]
    assert found["machine"] in profile.architecture.facts.machines
    assert found["version"] == [3, 11]
    assert found["executable"] == f"{found['prefix']}/bin/python3"
    assert found["folder"].endswith(f"/{Path(found['prefix']).name}/app")
    # With LD_LIBRARY_PATH, the camera's programs that the app starts would load the bundle's libraries.
    assert found["library_path"] is None


@every_profile
def test_app_can_start_the_cameras_programs(basics: dict[str, Any], profile: Any) -> None:
    assert basics["subprocess_of_the_camera"] in profile.architecture.facts.machines


def test_app_can_start_python_by_sys_executable(basics: dict[str, Any], results: dict[str, Any]) -> None:
    assert results["subprocess_of_ourselves"] == [basics["identity"]["executable"], "6"]


def test_multiprocessing_works_with_spawn(results: dict[str, Any]) -> None:
    assert results["multiprocessing_spawn"] == [0, 1, 4, 9]
    assert results["multiprocessing_shared_memory"] == "abc"


def test_ssl_verifies_with_the_bundles_certificates(results: dict[str, Any]) -> None:
    assert results["ssl_with_certificates"]["authorities"] > 100
    assert results["ssl_with_certificates"]["verify"] == "CERT_REQUIRED"


def test_modules_that_need_libraries_or_data_work(results: dict[str, Any]) -> None:
    assert results["sqlite3"] == 3
    assert results["ctypes_libc"] == 5
    assert results["zoneinfo"] == "2026-07-01T10:00:00+00:00"
    assert results["compression"] == [True, True, True]
    assert results["hashes"] == hashlib.sha256(b"").hexdigest()
    assert results["locale_is_utf8"]["text"] == "åäö"


def test_find_library_finds_those_of_bundle_and_camera(results: dict[str, Any]) -> None:
    found = results["installed_paths"]["libraries"]
    # The bundle has no GLib, the camera does.
    assert found == {"c": "libc.so.6", "z": "libz.so.1", "glib-2.0": "libglib-2.0.so.0", "nowhere": None}
    assert results["installed_paths"]["loaded"] == [True, True, True]


def test_sysconfig_names_the_bundles_folder_for_data_files(results: dict[str, Any]) -> None:
    assert results["installed_paths"]["data"] == results["installed_paths"]["prefix"]


def test_trimmed_module_that_the_app_imports_is_in_the_bundle(results: dict[str, Any]) -> None:
    # numpy.matrixlib.tests imports numpy.linalg.tests.
    assert results["trimmed_modules"] == {"matrixlib": True, "linalg": True}


def test_venv_says_why_it_is_left_out(results: dict[str, Any]) -> None:
    assert "`venv` is left out" in results["venv_is_explained"]
    assert "incamera run" in results["venv_is_explained"]
    assert "Traceback" not in results["venv_is_explained"]


# Modules for other systems, for desktops and for building, and those that Debian or our runtime leaves out.
ABSENT = {
    *("_overlapped", "_winapi", "_msi", "_scproxy", "msilib", "msvcrt", "nt", "winreg", "winsound", "_osx_support"),
    *("tkinter", "_tkinter", "turtle", "turtledemo", "idlelib", "lib2to3"),
    *("ensurepip", "venv", "pydoc_data"),
    *("_dbm", "_gdbm", "nis", "_pydecimal", "_pyio"),
}


def test_every_module_of_the_standard_library_imports(results: dict[str, Any]) -> None:
    failed = results["modules_import"]
    assert {name: why for name, why in failed.items() if name not in ABSENT} == {}


@every_profile
def test_numpy_computes(basics: dict[str, Any]) -> None:
    assert basics["numpy"]["eigenvalues"] == pytest.approx([2.0, 5.0])
    assert basics["numpy"]["dot"] == 18.0


def test_numpy_uses_openblas(results: dict[str, Any]) -> None:
    assert any("openblas" in name for name in results["numpy_uses_openblas"])


def test_tracebacks_name_file_and_line(results: dict[str, Any]) -> None:
    text = results["traceback_lines"]
    assert 'json.loads("{")' in text
    assert "json/decoder.py" in text


def test_byte_code_is_used(results: dict[str, Any]) -> None:
    assert results["pyc_is_used"] == {"own": "checks.py", "stdlib": "decimal.pyc", "cached": True}


@every_profile
def test_library_that_only_the_camera_has_is_loaded_from_it(basics: dict[str, Any]) -> None:
    found = basics["camera_only_library"]
    assert "failed" not in found, found
    assert found["value"] == 4242
    assert found["digest"] == hashlib.sha256(b"camera").hexdigest()
    assert found["type"] is True
    assert any(path.startswith(("/usr/lib/libglib-2.0.so", "/lib/libglib-2.0.so")) for path in found["maps"])


@every_profile
def test_newer_of_two_c_libraries_is_loaded(basics: dict[str, Any], profile: Any) -> None:
    """The bundle has glibc 2.36; the profiles' cameras have an older or a newer one."""
    libc = [path for path in basics["camera_only_library"]["maps"] if path.endswith("/libc.so.6") or "/libc-2." in path]
    loaders = [path for path in basics["camera_only_library"]["maps"] if "/ld-" in path]
    assert len(libc) == len(loaders) == 1, "one C library in a process"
    ours = profile.glibc < "2.36"
    # The kernel shows the path of the runtime's file, not that of the link in the bundle.
    assert libc[0].startswith("/tmp/incamera/") is ours
    assert loaders[0].startswith("/tmp/incamera/") is ours


@every_profile
def test_no_library_is_loaded_twice(basics: dict[str, Any]) -> None:
    # A soname: the name and the major version.
    names = [re.sub(r"(\.so\.\d+).*", r"\1", Path(path).name) for path in basics["camera_only_library"]["maps"]]
    assert len(names) == len(set(names))


@pytest.mark.matrix
def test_bundle_runs_from_a_path_with_a_space_and_a_letter_beyond_ascii(
    context: Context, camera: VirtualCamera, bundle_of: Callable[[Path, str], Bundle]
) -> None:
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


@on("axis-os-11-armv7hf", "axis-os-11-aarch64", matrix=["axis-os-10-armv7hf", "axis-os-10-aarch64"])
def test_example_with_a_c_module_runs_in_the_camera(
    camera: VirtualCamera, incamera: Callable[..., Any], project_copy: Callable[[Path], Path]
) -> None:
    """It prints what `make demo` shows: the C module's numbers and their sum."""
    project = project_copy(REPOSITORY / "examples" / "numbers")
    done = incamera("run", "-q", "--device", camera.name, cwd=project)
    assert done.code == 0, done.err
    machine = require_profile(camera.profile).architecture.facts.machines[0]
    assert f"machine='{machine}'" in done.out
    assert "Covariance" in done.out
    assert "1.718279" in done.out
