"""The command line: JSON for scripts, help, hints, completion, and behaviour at a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.build.deb_trees import ensure_deb_tree
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.toolchain.interpreter import HostTree

from ..cameras import inside
from ..command import Finished, Run, command_environment
from ..project import write_project
from ..terminal import Terminal

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("cli") / "plain")


def document(done: Finished) -> dict[str, Any]:
    """Return the JSON document on standard output."""
    assert done.code == 0, done.err
    parsed: dict[str, Any] = json.loads(done.out)
    assert parsed.pop("schema") == 1
    return parsed


# JSON


def test_build_prints_json(project: Path, incamera: Run) -> None:
    built = document(incamera("build", "--json", "-C", project))
    assert built["target"] == "armv7hf-cp311"
    assert re.fullmatch("[0-9a-f]{64}", built["bundle"])
    assert (Path(built["path"]) / "bin/python3").is_file()
    assert built["tree_bytes"] > 1_000_000
    assert (built["image_bytes"], built["image_path"]) == (None, None)
    assert built["steps"][0]["name"] == "lock"
    for step in built["steps"]:
        assert set(step) == {"name", "seconds", "cached"}
    assert built["distributions"] == []
    again = document(incamera("build", "--json", "-C", project))
    assert all(step["cached"] for step in again["steps"])
    assert again["bundle"] == built["bundle"]


def test_build_makes_an_image_on_demand(project: Path, incamera: Run) -> None:
    built = document(incamera("build", "--json", "-C", project, "--form", "squashfs"))
    image = Path(built["image_path"])
    assert image.read_bytes()[:4] == b"hsqs"
    assert image.stat().st_size == built["image_bytes"] < built["tree_bytes"] / 2
    assert str(image) in incamera("build", "-C", project, "--form", "squashfs").out


def test_build_json_names_each_distribution(tmp_path: Path, incamera: Run) -> None:
    project = write_project(tmp_path / "plain", dependencies='["numpy"]')
    (distribution,) = document(incamera("build", "--json", "-C", project))["distributions"]
    assert (distribution["name"], distribution["source"]) == ("numpy", "deb")
    assert re.match(r"1\.24", distribution["version"])
    assert "numpy" in distribution["why"]


def test_lock_prints_json(project: Path, incamera: Run) -> None:
    (lock,) = document(incamera("lock", "--json", "-C", project))["locks"]
    assert lock["target"] == "armv7hf-cp311"
    assert Path(lock["path"]).is_file()
    assert lock["debs"] > 10
    assert lock["download_bytes"] > 1_000_000


def test_deploy_prints_json(project: Path, incamera: Run, camera: VirtualCamera) -> None:
    inside(camera, "rm -rf /tmp/incamera/plain")
    deployed = document(incamera("deploy", "--json", "-C", project, "--device", camera.name))
    assert deployed["device"] == camera.name
    assert deployed["destination"].startswith("/tmp/incamera/plain/")
    # The runtime may be there already.
    assert deployed["files_sent"] > 0
    assert deployed["files_sent"] + deployed["files_unchanged"] > 500
    assert deployed["bytes_sent"] > 100
    assert deployed["seconds"] > 0


def test_device_info_prints_json(incamera: Run, camera: VirtualCamera) -> None:
    seen = document(incamera("device", "info", camera.name, "--json"))
    assert seen["device"] == camera.name
    facts = seen["facts"]
    assert facts["architecture"] == "armv7l"
    assert re.match(r"2\.\d+", facts["libc"])
    assert {"path", "free", "executable", "filesystem"} <= set(facts["places"][0])
    assert "libglib-2.0.so.0" in [library["soname"] for library in facts["libraries"]]
    shown = incamera("device", "info", camera.name)
    assert "/usr/local/packages" in shown.out


def test_new_and_store_print_json(tmp_path: Path, incamera: Run) -> None:
    made = document(incamera("new", "doorbell", "--json", cwd=tmp_path))
    assert sorted(Path(path).name for path in made["files"]) == [
        ".gitignore",
        "app.py",
        "pyproject.toml",
        "test_app.py",
    ]
    env = {"INCAMERA_STORE": str(tmp_path / "store")}
    assert document(incamera("store", "path", "--json", env=env)) == {"path": str(tmp_path / "store")}
    assert document(incamera("store", "verify", "--json", env=env)) == {"checked": 0, "faults": []}
    assert document(incamera("store", "clean", "--json", env=env)) == {"freed_bytes": 0}


def test_error_leaves_standard_output_empty(tmp_path: Path, incamera: Run) -> None:
    done = incamera("build", "--json", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")


def test_new_refuses_a_folder_that_is_not_empty_and_a_bad_name(tmp_path: Path, incamera: Run) -> None:
    assert incamera("new", "doorbell", cwd=tmp_path).code == 0
    (tmp_path / "doorbell/app.py").write_text("mine")
    again = incamera("new", "doorbell", cwd=tmp_path)
    assert again.code == 3
    assert "not empty" in again.err
    assert (tmp_path / "doorbell/app.py").read_text() == "mine"
    assert incamera("new", "-bell-", cwd=tmp_path).code in (2, 3)
    assert incamera("new", "door bell", cwd=tmp_path).code == 3
    assert not (tmp_path / "door bell").exists()


def test_verify_finds_and_removes_a_damaged_bundle(project: Path, tmp_path: Path, incamera: Run) -> None:
    built = document(incamera("build", "--json", "-C", project))
    bundle = Path(built["path"])
    bundles = tmp_path / "store/trees/bundles"
    shutil.copytree(bundle, bundles / bundle.name, symlinks=True)
    shutil.copy(bundle.with_name(f"{bundle.name}.json"), bundles)
    env = {"INCAMERA_STORE": str(tmp_path / "store")}
    victim = bundles / bundle.name / "app/app.py"
    victim.chmod(0o644)
    victim.write_text("changed")
    done = incamera("store", "verify", "--json", env=env)
    assert done.code == 1
    (fault,) = json.loads(done.out)["faults"]
    assert fault["name"].startswith("bundles ")
    assert not victim.exists()


# Help, hints and completion


def test_every_command_has_help(incamera: Run) -> None:
    first = incamera("--help")
    assert first.code == 0
    for command in ("new", "run", "python", "lock", "build", "deploy", "device", "virtual", "store"):
        assert re.search(rf"^  {command} ", first.out, re.MULTILINE)
        assert incamera(command, "--help").code == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["buidl"], 'did you mean "build"?'),
        (["build", "--tagret", "x"], 'did you mean "--target"?'),
        (["virtual", "strat"], 'did you mean "start"?'),
        (["deploy", "--jsn"], 'did you mean "--json"?'),
        (["virtual", "start", "axis-os-11-armhf"], 'did you mean "axis-os-11-armv7hf"'),
    ],
)
def test_hint_names_what_was_mistyped(incamera: Run, words: list[str], hint: str) -> None:
    done = incamera(*words)
    assert done.code in (2, 3)
    assert f"hint: {hint}" in done.err
    assert done.out == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", pytest.param("fish", marks=pytest.mark.matrix)])
def test_shell_accepts_its_completion_script(context: Context, incamera: Run, shell: str) -> None:
    script = incamera("completion", shell).out
    assert "incamera" in script
    for word in ("virtual", "--target"):
        assert word in script or word.replace("--", "-l ") in script  # fish has options without their hyphens
    host = require_host()
    tree = HostTree(
        ensure_deb_tree(context, shell, DebSet(suite="bookworm", architecture=host.debian, roots=(shell,))), host
    )
    words = tree.argv(tree.root / "usr/bin" / shell, "-n")
    checked = subprocess.run(words, input=script, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_bash_completes_a_command(incamera: Run) -> None:
    script = incamera("completion", "bash").out
    ask = 'COMP_WORDS=(incamera vir); COMP_CWORD=1; _shtab_incamera; echo "${COMPREPLY[@]}"'
    answer = subprocess.run(["bash", "-c", f"{script}\n{ask}"], text=True, capture_output=True)
    assert answer.stdout.split() == ["virtual"]


def test_closed_pipe_ends_the_command_silently_and_a_full_disk_with_an_error(incamera: Run) -> None:
    words = [sys.executable, "-m", "incamera", "virtual", "profiles"]
    read, write = os.pipe()
    os.close(read)
    left = subprocess.run(words, env=command_environment(), stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (left.returncode, left.stderr) == (141, b"")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, env=command_environment(), stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 6
    assert done.stderr == b"error: cannot print: No space left on device\n"


# At a terminal


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(*words: str | Path, **more: str) -> Terminal:
        env = {**command_environment(more), "TERM": "xterm"}
        if "NO_COLOR" not in more:
            del env["NO_COLOR"]
        opened.append(Terminal(*words, env=env))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        if terminal.process.poll() is None:
            terminal.process.kill()
        terminal.process.wait()
        for descriptor in (terminal.end, terminal.inner):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def test_python_at_a_terminal_edits_resizes_and_is_interrupted(
    project: Path, camera: VirtualCamera, terminal: Callable[..., Terminal]
) -> None:
    user = terminal("python", "-C", project, "--device", camera.name)
    user.await_text(">>> ")
    user.type("import os; os.uname().machine\r")
    user.await_text("'armv7l'")
    user.type("sum(range(101))\r")
    user.await_text("5050")
    user.type("tuple(os.get_terminal_size())\r")
    user.await_text("(100, 30)")
    user.resize(120, 40)
    user.type("tuple(os.get_terminal_size())\r")
    user.await_text("(120, 40)")
    # Many short sleeps: Python notices an interrupt that comes just before a sleep only at the end of that sleep.
    user.type("import time; print('as' + 'leep'); [time.sleep(0.01) for _ in range(100_000)]\r")
    user.await_text("asleep\r\n")
    user.type("\x03")
    user.await_text("KeyboardInterrupt\r\n>>> ")
    user.type("'goes' + 'on'\r")  # after an interrupt alone, Python would exit with 130
    user.await_text("goeson'\r\n>>> ")
    user.type("\x04")
    assert user.finish() == 0
    assert termios.tcgetattr(user.inner) == user.before


def test_sigterm_restores_the_terminal(project: Path, camera: VirtualCamera, terminal: Callable[..., Terminal]) -> None:
    user = terminal("python", "-C", project, "--device", camera.name)
    user.await_text(">>> ")
    user.process.send_signal(signal.SIGTERM)
    assert user.finish() == 143
    assert termios.tcgetattr(user.inner) == user.before


def test_python_passes_arguments_input_and_exit_code(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    words = ("-q", "-C", project, "--device", camera.name)
    printed = incamera("python", *words, "-c", "import sys; print(sys.argv)", "--device", "-q")
    assert (printed.code, printed.out) == (0, "['-c', '--device', '-q']\n")
    assert incamera("python", *words, "-m", "json.tool", input='{"a":1}').out == '{\n    "a": 1\n}\n'
    assert incamera("python", *words, input="print(6 * 7)\n").out == "42\n"
    assert incamera("python", *words, "-c", "raise SystemExit(9)").code == 9
    assert incamera("python", *words, "-c", "import app").out == "hello\n"


@pytest.mark.parametrize("more", [{}, {"NO_COLOR": "1"}])
def test_colours_are_left_out_with_no_color(
    project: Path, terminal: Callable[..., Terminal], more: dict[str, str]
) -> None:
    user = terminal("build", "-C", project, **more)
    user.await_text("bundle")
    shown = user.shown
    assert user.finish() == 0
    shown += user.shown
    colours = re.findall(r"\x1b\[[0-9;]*m", shown)
    assert bool(colours) is not bool(more)
