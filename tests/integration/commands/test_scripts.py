"""`incamera run FILE.py`, `-m MODULE` and scripts with a metadata block, in a virtual camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..command import COMMAND_SECONDS, Run, assert_error, command_environment, running
from ..project import write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

BLINK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = ["annotated-types"]
# ///
import sys
import annotated_types
from lamp import COLOUR

print(COLOUR, annotated_types.Ge(3), *sys.argv)
sys.exit(5)
"""

GLOW = """\
import time
from lamp import COLOUR

print("{}", COLOUR, flush=True)
time.sleep(999)
"""


def test_script_runs_from_an_empty_folder(tmp_path: Path, camera: VirtualCamera, incamera: Run) -> None:
    (tmp_path / "blink.py").write_text(BLINK)
    (tmp_path / "lamp.py").write_text("COLOUR = 'red'\n")
    (tmp_path / "private.txt").write_text("not the script's")
    device = {"INCAMERA_DEVICE": camera.name}
    done = incamera("run", "blink.py", "--loud", cwd=tmp_path, env=device)
    assert (done.code, done.out) == (5, "red Ge(ge=3) blink.py --loud\n"), done.err
    # The lock is kept, but not beside the script.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blink.py", "lamp.py", "private.txt"]
    # The same packages are in the camera for whoever tries them out, and nothing else of the folder.
    asked = "import annotated_types, os; print(sorted(name for name in os.listdir() if name != '__pycache__'))"
    tried = incamera("python", "--script", "blink.py", "-c", asked, cwd=tmp_path, env=device)
    assert (tried.code, tried.out) == (0, "['blink.py', 'lamp.py']\n"), tried.err
    shown = incamera("logs", "--script", "blink.py", cwd=tmp_path)
    assert "red Ge(ge=3)" in shown.out
    assert incamera("audit", "blink.py", "--device", camera.name, cwd=tmp_path).code == 0
    locked = incamera("lock", "--script", "blink.py", cwd=tmp_path)
    assert locked.code == 0, locked.err
    assert (tmp_path / "pylock.blink-armv7hf-cp311.toml").is_file()


def test_package_is_added_to_a_script_that_has_no_block(tmp_path: Path, incamera: Run) -> None:
    (tmp_path / "blink.py").write_text("import annotated_types\n")
    done = incamera("add", "--script", "blink.py", "annotated-types", cwd=tmp_path)
    assert done.code == 0, done.err
    text = (tmp_path / "blink.py").read_text()
    assert text == '# /// script\n# dependencies = ["annotated-types>=0.8"]\n# ///\n\nimport annotated_types\n'
    (built,) = json.loads(incamera("build", "--script", "blink.py", "--json", cwd=tmp_path).out)["distributions"]
    assert built["name"] == "annotated-types"
    assert [path.name for path in tmp_path.iterdir()] == ["blink.py"]


def test_files_and_modules_of_a_project_run_instead_of_its_entry(
    tmp_path: Path, camera: VirtualCamera, incamera: Run
) -> None:
    project = write_project(tmp_path / "bell", name="bell")
    show = "import sys\nprint(__file__.rpartition('/app/')[2], sys.argv[1:])\n"
    (project / "bell").mkdir()
    for name in ("app.py", "other.py", "bell/ring.py", "bell/__init__.py"):
        (project / name).write_text(show if name != "bell/__init__.py" else "")
    device = {"INCAMERA_DEVICE": camera.name}

    def output(*words: str) -> str:
        done = incamera("run", *words, cwd=project, env=device)
        assert done.code == 0, done.err
        return done.out

    assert output("--", "other.py") == "app.py ['other.py']\n"
    assert output("other.py", "a", "--watch") == "other.py ['a', '--watch']\n"
    assert output("-m", "bell.ring", "b") == "bell/ring.py ['b']\n"
    assert_error(incamera("run", "ring", cwd=project, env=device), 2, "neither a Python file", "-m ring", "-- ring")
    # Without an entry there is still an interpreter.
    (project / "app.py").unlink()
    asked = incamera("python", "-c", "import other", cwd=project, env=device)
    assert (asked.code, asked.out) == (0, "other.py []\n"), asked.err
    assert_error(incamera("run", cwd=project, env=device), 3, "has no app.py", "incamera run other.py")


def test_edit_of_a_script_or_of_what_it_imports_is_what_runs_next(tmp_path: Path, camera: VirtualCamera) -> None:
    script = tmp_path / "glow.py"
    text = BLINK.partition("import sys")[0] + GLOW
    script.write_text(text.format("first"))
    (tmp_path / "lamp.py").write_text("COLOUR = 'red'\n")
    options = ("run", "--watch", "--device", camera.name, "glow.py")
    with running(*options, env=command_environment(), cwd=tmp_path) as command:
        command.await_output("first red")
        script.write_text(text.format("second"))
        command.await_output("second red")
        (tmp_path / "lamp.py").write_text("COLOUR = 'blue'\n")
        command.await_output("second blue")
        command.press_ctrl_c()
        assert command.finish(seconds=COMMAND_SECONDS) == 0, command.text
