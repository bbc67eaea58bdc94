"""The agent as a part of every runtime."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.runtime import agent as runtime_agent
from incamera.runtime.agent import agent_digest, stage_agent

SOURCE = Path(__file__).parents[3] / "packages" / "incamera-agent" / "src" / "incamera_agent"
MODULES = sorted(SOURCE.glob("*.py"))


def test_every_module_of_it_goes_into_the_runtime(tmp_path: Path) -> None:
    staged = stage_agent(tmp_path)
    assert staged == [f"lib/python3/dist-packages/incamera_agent/{module.name}" for module in MODULES]
    for path, module in zip(staged, MODULES, strict=True):
        assert (tmp_path / path).read_bytes() == module.read_bytes()


def test_another_agent_makes_another_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "agent.py"
    file.write_text("print(1)\n")
    monkeypatch.setattr(runtime_agent, "_files", lambda: [file])
    agent_digest.cache_clear()
    first = agent_digest()
    file.write_text("print(2)\n")
    assert agent_digest() == first  # once in a process
    agent_digest.cache_clear()
    assert agent_digest() != first
    agent_digest.cache_clear()


def test_an_installation_without_it_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime_agent, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match="incamera_agent"):
        stage_agent(tmp_path)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_it_needs_the_oldest_python_and_its_standard_library_only(module: Path) -> None:
    tree = ast.parse(module.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top == "incamera_agent", f"{module.name} imports {name}"
