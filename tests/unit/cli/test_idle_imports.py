"""A build with nothing to do takes as long as its imports: none that only work to be done needs."""

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
def test_what_only_work_needs_is_not_imported(module: str) -> None:
    imports = ", ".join(f"incamera.{name}" for name in NEEDED)
    script = f"import sys, {imports}; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
