"""Commands with little to do import only what they need, because imports are most of their time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf

NEEDED = ("console", "cli.parser", "cli.build", "project.loading", "workflows.build", "context", "project.program")
FOR_WORK = (
    "asyncio",
    "ssl",
    "difflib",
    "platformdirs",
    "packaging.pylock",
    "concurrent.futures",
    "shutil",
    "incamera.waiting",
    "incamera.project.data_folder",
    "tempfile",
    "incamera.elf",
    "incamera.proc",
    "incamera.project.recipes",
    "incamera.project.script",
    "incamera.project.lone_script",
    "importlib.resources",
)


@pytest.mark.starts_processes
@pytest.mark.parametrize("module", FOR_WORK)
def test_idle_build_does_not_import(module: str) -> None:
    imports = ", ".join(f"incamera.{name}" for name in NEEDED)
    script = f"import sys, {imports}; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.starts_processes
def test_planning_builds_that_are_known_imports_nothing_that_builds() -> None:
    builders = "{'incamera.toolchain.pep517', 'incamera.toolchain.emulation', 'incamera.wheels.repair'}"
    script = f"import sys, incamera.resolver.builds; sys.exit(bool({builders} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.starts_processes
def test_audit_of_a_file_imports_nothing_that_builds_or_connects(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(make_elf())
    script = "import json, sys; from incamera.__main__ import main; main(); json.dump(list(sys.modules), sys.stderr)"
    command = [sys.executable, "-c", script, "audit", "--json", str(tmp_path / "x.so")]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout)["compatible"]
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    others = {"asyncio", "asyncssh", "ssl", "urllib3", "incamera.http", "incamera.connect", "incamera.workflows.build"}
    assert "incamera.abi.audit" in modules
    assert not modules & others
