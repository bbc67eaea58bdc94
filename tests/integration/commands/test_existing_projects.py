"""From a project that another tool has made to output from the camera, in at most four typed commands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..command import assert_error, command_environment
from ..terminal import Terminal

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

# What `uv init --package lamp` and `uv add idna` of uv 0.13 make: uv's own build back end, and the package in src.
UV_PACKAGE = {
    ".python-version": "3.11\n",
    "README.md": "",
    "src/lamp/__init__.py": (
        'import idna\n\n\ndef main() -> None:\n    print("Hello from lamp!", idna.encode("ä.se"))\n'
    ),
    "pyproject.toml": (
        '[project]\nname = "lamp"\nversion = "0.1.0"\ndescription = "Add your description here"\nreadme = "README.md"\n'
        'authors = [\n    { name = "Lamp", email = "lamp@example.com" }\n]\nrequires-python = ">=3.11"\n'
        'dependencies = [\n    "idna>=3.10",\n]\n\n[project.scripts]\nlamp = "lamp:main"\n\n'
        '[build-system]\nrequires = ["uv_build>=0.13.6,<0.14.0"]\nbuild-backend = "uv_build"\n'
    ),
}
# What `uv init --no-package lamp` makes, and `uv init lamp` of older versions.
UV = {
    ".python-version": "3.11\n",
    "README.md": "",
    "main.py": (
        'import idna\n\n\ndef main():\n    print("Hello from lamp!", idna.encode("ä.se"))\n\n\n'
        'if __name__ == "__main__":\n    main()\n'
    ),
    "pyproject.toml": (
        '[project]\nname = "lamp"\nversion = "0.1.0"\ndescription = "Add your description here"\nreadme = "README.md"\n'
        'requires-python = ">=3.11"\ndependencies = [\n    "idna>=3.10",\n]\n'
    ),
}
# What `poetry new` of Poetry 1 makes, and `poetry add idna`; with a script.
POETRY = {
    "README.md": "",
    "lamp/__init__.py": 'import idna\n\n\ndef main():\n    print("Hello from lamp!", idna.encode("ä.se"))\n',
    "tests/__init__.py": "",
    "pyproject.toml": (
        '[tool.poetry]\nname = "lamp"\nversion = "0.1.0"\ndescription = ""\nauthors = ["Lamp <lamp@example.com>"]\n'
        'readme = "README.md"\n\n[tool.poetry.dependencies]\npython = "^3.11"\nidna = "^3.10"\n\n'
        '[tool.poetry.scripts]\nlamp = "lamp:main"\n\n\n[build-system]\nrequires = ["poetry-core"]\n'
        'build-backend = "poetry.core.masonry.api"\n'
    ),
}
REQUIREMENTS = {
    "requirements.txt": "# names of hosts\nidna==3.20 \\\n    --hash=sha256:" + 64 * "0" + "\n-c limits.txt\n",
    "limits.txt": "urllib3<3\n",
    "lamp.py": UV["main.py"],
    "helpers.py": "",
}


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        pytest.param(UV_PACKAGE, "pyproject.toml", id="uv-package"),
        pytest.param(UV, "pyproject.toml", id="uv", marks=pytest.mark.matrix),
        pytest.param(POETRY, "pyproject.toml", id="poetry"),
        pytest.param(REQUIREMENTS, "requirements.txt", id="requirements", marks=pytest.mark.matrix),
    ],
)
def test_project_of_another_tool_runs_after_init(
    files: dict[str, str], kept: str, camera: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    typed = ["incamera init", f"incamera run -q --device {camera.name}"]
    assert len(typed) <= 4
    for command in typed:
        done = incamera(*shlex.split(command)[1:], cwd=tmp_path)
        assert done.code == 0, done.err
        assert command != typed[0] or done.out.endswith("\nnow type: incamera run\n")
    assert done.out == "Hello from lamp! b'xn--4ca.se'\n"
    assert files[kept] in (tmp_path / kept).read_text("utf-8"), "what the other tool wrote was changed"
    again = incamera("init", cwd=tmp_path)
    assert (again.code, again.out.startswith("nothing to do")) == (0, True)


def test_init_asks_at_a_terminal_and_a_no_changes_nothing(tmp_path: Path) -> None:
    pyproject = '[project]\nname = "lamp"\n'
    (tmp_path / "pyproject.toml").write_text(pyproject)
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text('if __name__ == "__main__":\n    print(1)\n')
    environment = command_environment({"TERM": "xterm"})
    with Terminal("init", tmp_path, env=environment) as terminal:
        terminal.await_text("which of these is the app?")
        terminal.type("2\n")
        terminal.await_text('+entry = "two.py"')
        terminal.await_text("make these changes?")
        terminal.type("n\n")
        assert terminal.finish() == 1
    assert (tmp_path / "pyproject.toml").read_text() == pyproject
    with Terminal("init", tmp_path, "--entry", "one.py", env=environment) as terminal:
        terminal.await_text("make these changes?")
        terminal.type("y\n")
        assert terminal.finish() == 0
    assert (tmp_path / "pyproject.toml").read_text() == f'{pyproject}\n[tool.incamera]\nentry = "one.py"\n'


def test_init_without_a_terminal_lists_the_entries_to_choose_from(tmp_path: Path, incamera: Run) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text('if __name__ == "__main__":\n    print(1)\n')
    done = incamera("init", cwd=tmp_path)
    assert_error(done, 2, r"one\.py", r"two\.py", "--entry")
    assert not (tmp_path / "pyproject.toml").exists()
    shown = incamera("init", "--dry-run", "--entry", "one.py", "--json", cwd=tmp_path)
    document = json.loads(shown.out)
    assert (document["changed"], document["entry"]) == (False, "one.py")
    assert '+entry = "one.py"' in document["diff"]
    assert not (tmp_path / "pyproject.toml").exists()
