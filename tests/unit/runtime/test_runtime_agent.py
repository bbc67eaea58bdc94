"""The agent as a part of every runtime."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from incamera.runtime import agent as runtime_agent
from incamera.runtime.agent import agent_digest, stage_agent

SOURCE = Path(__file__).parents[3] / "packages" / "incamera-agent" / "src" / "incamera_agent"
MODULES = {file.relative_to(SOURCE).as_posix(): file for file in sorted(SOURCE.rglob("*.py"))}


def test_every_module_is_copied_into_the_runtime(tmp_path: Path) -> None:
    staged = stage_agent(tmp_path, "armv7hf")
    assert staged == [f"lib/python3/dist-packages/incamera_agent/{name}" for name in MODULES]
    for path, module in zip(staged, MODULES.values(), strict=True):
        assert (tmp_path / path).read_bytes() == module.read_bytes()


def test_changed_agent_has_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "agent.py"
    file.write_text("print(1)\n")
    monkeypatch.setattr(runtime_agent, "_find_modules", lambda: {"agent.py": file})
    agent_digest.cache_clear()
    first = agent_digest()
    file.write_text("print(2)\n")
    assert agent_digest() == first  # once in a process
    agent_digest.cache_clear()
    assert agent_digest() != first
    agent_digest.cache_clear()


@pytest.mark.parametrize("name", MODULES)
def test_module_parses_in_python_39_and_imports_the_standard_library_only(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            imported = [node.module or ""]
        for module in imported:
            top = module.partition(".")[0]
            assert top in sys.stdlib_module_names or top == "incamera_agent", f"{name} imports {module}"
