"""`incamera test`: the project's tests, run in a virtual camera."""

from __future__ import annotations

import sqlite3
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..cameras import inside
from ..project import write_project
from .app import HELPER, left_behind
from .conftest import with_others

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run


@with_others
def test_pytest_runs_in_the_camera_and_reports_to_the_host(
    project: Path, camera: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    before = sorted(path.name for path in project.iterdir())
    done = incamera("test", "-C", project, "--device", camera.name, "--junit", tmp_path / "junit.xml")
    assert done.code == 1
    assert "test_helper.py::test_bad - AssertionError: linux" in done.out
    assert "1 failed, 1 passed" in done.out
    assert f"wrote the test results to {tmp_path / 'junit.xml'}\n" in done.err

    cases = {case.get("name"): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}
    assert cases.keys() == {"test_good", "test_bad"}
    assert cases["test_bad"].find("failure") is not None

    # Only the lockfiles are new in the project, and nothing in the camera.
    architecture = camera.profile.removeprefix("axis-os-11-")
    locks = {f"pylock.{architecture}-cp311{end}.toml" for end in ("", "-test")}
    assert sorted({*before, *locks}) == sorted(path.name for path in project.iterdir())
    assert left_behind(camera) == []
    changed = inside(camera, "find /tmp/incamera/bell-test/*/app -name '.pytest_cache' -o -name '.coverage'")
    assert changed == ""


@pytest.mark.matrix
def test_coverage_can_be_combined_with_that_of_the_host(
    project: Path, camera: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    coverage = pytest.importorskip("coverage")
    device = tmp_path / ".coverage.camera"
    done = incamera(
        *("test", "-C", project, "--device", camera.name, "--coverage", "-k", "good"),
        env={"COVERAGE_FILE": str(device)},
    )
    assert done.code == 0
    assert f"wrote the coverage data, with this computer's paths, to {device}\n" in done.err
    connection = sqlite3.connect(device)
    files = {path for (path,) in connection.execute("SELECT path FROM file")}
    connection.close()
    assert {str(project / name) for name in ("helper.py", "test_helper.py")} <= files
    combined = coverage.Coverage(data_file=str(tmp_path / ".coverage"))
    combined.combine([str(device)])
    _, _, missing, _ = combined.analysis(str(project / "helper.py"))
    lines = HELPER.splitlines()
    assert lines.index("    return result") + 1 not in missing
    assert lines.index('    raise ValueError("on purpose")') + 1 in missing


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("words", "code"), [(["-k", "nothing"], 5), pytest.param(["--no-such-option"], 4, marks=pytest.mark.matrix)]
)
def test_options_and_exit_codes_are_those_of_pytest(
    words: list[str], code: int, project: Path, camera: VirtualCamera, incamera: Run
) -> None:
    done = incamera("test", "-q", *words, "-C", project, "--device", camera.name)
    assert done.code == code, done.err


@pytest.mark.matrix
def test_test_lock_has_the_apps_versions_and_pytest(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    from packaging.pylock import Pylock

    assert incamera("test", "-q", "-C", project, "--device", camera.name, "-k", "good").code == 0
    texts = [(project / f"pylock.armv7hf-cp311{end}.toml").read_text() for end in ("", "-test")]
    app, tests = (Pylock.from_dict(tomllib.loads(text)) for text in texts)
    assert {package.name for package in app.packages} < {package.name for package in tests.packages}
    assert "pytest" in {package.name for package in tests.packages}


@pytest.mark.matrix
def test_tests_of_a_project_with_a_build_back_end_are_beside_its_wheel(
    tmp_path: Path, camera: VirtualCamera, incamera: Run
) -> None:
    folder = write_project(tmp_path / "built", name="built", settings='entry = "built.main"')
    (folder / "app.py").unlink()
    with (folder / "pyproject.toml").open("a") as stream:
        stream.write('\n[build-system]\nrequires = ["flit_core>=3.9"]\nbuild-backend = "flit_core.buildapi"\n')
        stream.write('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('version = "1"\n', 'version = "1"\ndescription = "x"\n'))
    for name, content in {
        "src/built/__init__.py": "",
        "src/built/main.py": "def answer():\n    return 41\n",
        "tests/test_built.py": "from built.main import answer\n\ndef test_it():\n    assert answer() == 42\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    done = incamera("test", "-C", folder, "--device", camera.name)
    assert done.code == 1, done.err
    assert "assert 41 == 42" in done.out
