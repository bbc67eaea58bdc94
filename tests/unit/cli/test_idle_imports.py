"""A build that has nothing to do imports only what it needs, because imports are most of its time."""

import subprocess
import sys

import pytest

NEEDED = ("console", "cli.parser", "cli.build", "project.settings", "workflows.build", "context")
FOR_WORK = (
    "asyncio",
    "ssl",
    "difflib",
    "platformdirs",
    "tempfile",
    "incamera.elf",
    "incamera.proc",
    "incamera.project.recipes",
    "importlib.resources",
)


@pytest.mark.starts_processes
@pytest.mark.parametrize("module", FOR_WORK)
def test_idle_build_does_not_import(module: str) -> None:
    imports = ", ".join(f"incamera.{name}" for name in NEEDED)
    script = f"import sys, {imports}; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
