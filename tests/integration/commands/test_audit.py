"""The audit command, and the audit's data against the libraries of cameras and runtimes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tools.make_policies import describe_camera, describe_runtime, dump_symbols, load_symbols

from incamera.context import Context
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import package

from ..cameras import PROFILES, on
from ..project import write_project
from ..reporter import QuietReporter

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.target import Target
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

DATA = Path(__file__).parents[3] / "src" / "incamera" / "abi" / "data"
MODULE = "fast.cpython-311-arm-linux-gnueabihf.so"
TOO_NEW = make_elf(needed=["libc.so.6"], needs={"libc.so.6": ["GLIBC_2.99"]}, exports=["PyInit_fast"])
STALE = "the data of the audit is out of date: run `make policies`"


# The data


def compare(document: dict[str, Any], symbols: Mapping[str, list[str]], path: Path) -> None:
    """Check that what the audit uses is the same. A security update may rename a library's file and add symbols."""
    known = json.loads(path.with_suffix(".json").read_text())
    assert essence(document) == essence(known), STALE
    assert public(load_symbols(path)) <= public(dump_symbols(symbols)), STALE


def essence(document: dict[str, Any]) -> dict[str, Any]:
    libraries = {
        row["name"]: {key: value for key, value in row.items() if key not in ("path", "real_name", "needs")}
        for row in document["libraries"]
    }
    return document | {"libraries": libraries}


def public(symbols: str) -> set[str]:
    return {line for line in symbols.splitlines() if not line.startswith("=") and "PRIVATE" not in line}


@on("axis-os-11-armv7hf", matrix=[profile for profile in PROFILES if profile != "axis-os-11-armv7hf"])
def test_data_of_a_profile_equals_its_virtual_camera(context: Context, camera: VirtualCamera) -> None:
    compare(*describe_camera(context, camera), DATA / "policies" / camera.profile)


def test_data_of_a_runtime_equals_a_bundle_without_packages(context: Context, target: Target) -> None:
    compare(*describe_runtime(context, target), DATA / "runtimes" / str(target))


# The command


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A project whose app has a module that was built against a newer C library."""
    project = write_project(tmp_path / "broken", name="broken")
    (project / MODULE).write_bytes(TOO_NEW)
    return project


def test_audit_of_a_compatible_project_writes_json_and_a_graph(incamera: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path / "plain")
    page = tmp_path / "needs.html"
    done = incamera("audit", "--project", project, "--json", "--graph", page)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert (document["schema"], document["compatible"], document["findings"]) == (1, True, [])
    assert document["policy"] == "axis-os-11-armv7hf"
    assert document["files"] > 50
    assert "plain" in page.read_text()
    assert "It can work: 0 findings" in page.read_text()


def test_audit_of_an_incompatible_project_names_file_need_and_remedy(incamera: Run, broken: Path) -> None:
    done = incamera("audit", "--project", broken, "--profile", "axis-os-10-armv7hf", "--json")
    assert done.code == 1, done.err
    document = json.loads(done.out)
    (finding,) = document["findings"]
    remedy = finding.pop("remedy")
    assert finding == {
        "kind": "symbol-version",
        "severity": "error",
        "file": f"app/{MODULE}",
        "needs": "GLIBC_2.99",
        "provides": "GLIBC_2.36 (the bundle's libc.so.6)",
    }
    text = incamera("audit", "--project", broken, "--profile", "axis-os-10-armv7hf")
    assert text.code == 1
    for words in (MODULE, "GLIBC_2.99", remedy, "1 error, 0 warnings"):
        assert words in text.out


@on("axis-os-10-armv7hf")
def test_incompatible_project_is_deployed_only_with_no_audit(
    incamera: Run, broken: Path, camera: VirtualCamera
) -> None:
    device = camera.name
    refused = incamera("deploy", "--project", broken, "--device", device)
    assert refused.code == 4, refused.err
    assert f"broken cannot run on {device}: app/{MODULE} needs GLIBC_2.99" in refused.err
    assert "--no-audit" in refused.err
    audited = incamera("audit", "--project", broken, "--device", device, "--json")
    assert audited.code == 1
    assert json.loads(audited.out)["policy"] == device

    went_on = incamera("run", "--project", broken, "--device", device, "--no-audit")
    assert (went_on.code, went_on.out) == (0, "hello\n"), went_on.err
    loaded = incamera("python", "--no-audit", "--project", broken, "--device", device, "-c", "import fast")
    assert loaded.code == 1
    assert "version `GLIBC_2.99' not found" in loaded.err


@pytest.mark.matrix
def test_second_deploy_uses_the_audit_of_the_first(incamera: Run, tmp_path: Path, camera: VirtualCamera) -> None:
    project = write_project(tmp_path / "kept", name="kept")
    first = incamera("deploy", "--project", project, "--device", camera.name)
    assert first.code == 0, first.err
    again = incamera("deploy", "--project", project, "--device", camera.name)
    (line,) = [line for line in again.err.splitlines() if " audit " in line]
    assert line.endswith("unchanged")


def test_audit_of_a_package_depends_on_the_profile(incamera: Run, tmp_path: Path) -> None:
    program = make_elf(
        program=True, interpreter="/lib/ld-linux-armhf.so.3", needed=["libc.so.6"], needs={"libc.so.6": ["GLIBC_2.38"]}
    )
    path = package(tmp_path / "foreign.eap", {"package.conf": b'APPNAME="foreign"\n', "foreign": program})
    assert incamera("audit", path, "--profile", "axis-os-11-armv7hf").code == 0
    old = incamera("audit", path, "--profile", "axis-os-10-armv7hf")
    assert old.code == 1
    assert "GLIBC_2.38" in old.out
    assert incamera("audit", path, "--profile", "axis-os-13-armv7hf").code == 0, "no virtual camera has that profile"
    note = tmp_path / "note.txt"
    note.write_text("no ELF file")
    assert incamera("audit", note).code == 2


def test_audit_reports_one_step(tmp_path: Path, store: Store) -> None:
    from incamera.workflows.audit_file import audit_file

    reporter = QuietReporter()
    (tmp_path / "x.so").write_bytes(make_elf())
    report, _ = audit_file(Context(store, reporter), tmp_path / "x.so", device=None, profile=None, target=None)
    assert report.compatible
    assert [step.name for step in reporter.steps] == ["audit"]
