"""The one except: each class of error has its exit code, and only a bug of ours shows a traceback."""

import inspect
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from incamera import __version__, errors
from incamera.__main__ import BUG, INTERRUPTED, OUTPUT_CLOSED, main
from incamera.console_streams import OutputClosed
from incamera.errors import InCameraError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, InCameraError)]
# The contract of the command line; a class that is missing here is one of these by descent.
CODES = {
    "InCameraError": 1,
    "UsageError": 2,
    "ConfigError": 3,
    "DeviceError": 4,
    "BuildError": 5,
    "StoreError": 6,
}


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a command raises or returns."""
    outcomes: list[Any] = []

    def execute(arguments: object, console: object) -> int:
        if isinstance(outcomes[0], BaseException):
            raise outcomes[0]
        return int(outcomes[0])

    monkeypatch.setattr("incamera.cli.store.execute_path", execute)
    return outcomes


@pytest.mark.parametrize("kind", CLASSES)
def test_each_error_has_its_code(
    kind: type[InCameraError], outcome: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    outcome.append(kind("what is wrong", hint="the remedy"))
    expected = next(CODES[parent.__name__] for parent in kind.__mro__ if parent.__name__ in CODES)
    assert main(["store", "path"]) == expected
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: what is wrong\nhint: the remedy\n"


@pytest.mark.parametrize("code", [0, 1, 3, 137])
def test_a_commands_code_is_passed_through(code: int, outcome: list[Any]) -> None:
    outcome.append(code)
    assert main(["store", "path"]) == code


def test_a_bug_of_ours_is_called_one(outcome: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    outcome.append(ZeroDivisionError("division by zero"))
    assert main(["store", "path"]) == BUG
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ZeroDivisionError: division by zero" in said
    assert "error: this is a bug in incamera\nhint: please report it" in said


def test_a_broken_pipe_to_somebody_else_is_a_bug_too(outcome: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Only our own output may be closed silently: another broken pipe is the reason why a build failed."""
    outcome.append(BrokenPipeError())
    assert main(["store", "path"]) == BUG
    assert "BrokenPipeError" in capsys.readouterr().err


def test_ctrl_c(outcome: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    outcome.append(KeyboardInterrupt())
    assert main(["store", "path"]) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted; no incomplete files were kept\n"


def test_ctrl_c_before_the_command_has_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def parse(arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("incamera.cli.parser.parse_arguments", parse)
    assert main(["store", "path"]) == INTERRUPTED
    assert capsys.readouterr().err == ""


def test_closed_output_ends_with_141_and_no_message(outcome: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    outcome.append(OutputClosed())
    assert main(["store", "path"]) == OUTPUT_CLOSED
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_needs_no_imports(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("incamera.")]:
        if name != "incamera.__main__":
            monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    assert main([option]) == 0
    assert capsys.readouterr().out == f"incamera {__version__}\n"


def test_the_version_among_other_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version", "store"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"incamera {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["store"], ["store", "path", "--nonsense"]])
def test_wrong_usage_ends_with_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    messages = io.StringIO()
    monkeypatch.setattr("sys.stderr", messages)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    text = messages.getvalue()
    assert text.startswith("error: " if arguments[-1:] in (["nonsense"], ["--nonsense"]) else "usage: incamera")
    assert text.count("error: ") == 1


# Streams, folders and homes that are not as usual


def run_shell(line: str, folder: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run *line* in a shell, where `incamera` is this one; None removes a variable."""
    variables = {**os.environ, "INCAMERA_STORE": str(folder / "store"), "PYTHONWARNINGS": "ignore", **environment}
    script = f'incamera() {{ "{sys.executable}" -m incamera "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={name: value for name, value in variables.items() if value is not None},
        text=True,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.starts_processes
@pytest.mark.parametrize("command", ["--version", "--help", "store path"])
def test_output_on_a_full_disk_is_an_error(tmp_path: Path, command: str) -> None:
    ran = run_shell(f"incamera {command} >/dev/full", tmp_path)
    assert (ran.returncode, ran.stderr) == (6, "error: cannot print: No space left on device\n")


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("incamera --version >&-", 0),
        ("incamera store path >&-", 0),
        ("incamera store path <&- >&- 2>&-", 0),
        ("incamera nonsense 2>&-", 2),
        ("incamera nonsense 2>/dev/full", 2),
        ("incamera build 2>/dev/full", 3),
        ("incamera build <&- >&- 2>&-", 3),
    ],
)
def test_streams_that_are_closed_or_full_do_not_change_the_exit_code(tmp_path: Path, line: str, code: int) -> None:
    ran = run_shell(line, tmp_path)
    assert (ran.returncode, ran.stderr) == (code, "")


@pytest.mark.starts_processes
def test_no_file_gets_the_number_of_a_closed_standard_stream(tmp_path: Path) -> None:
    """What is printed, or what a child process prints, would be written into it."""
    ran = run_shell("incamera new doorbell <&- >&- 2>&-", tmp_path)
    assert ran.returncode == 0
    assert (tmp_path / "doorbell/pyproject.toml").read_text().startswith("[project]\nname")


@pytest.mark.starts_processes
@pytest.mark.parametrize("command", ["new x", "build", "device list -C ."])
def test_folder_that_was_removed_is_no_bug(tmp_path: Path, command: str) -> None:
    ran = run_shell(f"mkdir gone && cd gone && rmdir ../gone && incamera {command}", tmp_path)
    assert ran.returncode in (2, 3)
    assert "Traceback" not in ran.stderr


@pytest.mark.starts_processes
@pytest.mark.parametrize("environment", [{"HOME": ""}, {"HOME": None}, {"HOME": "a/b"}, {"XDG_DATA_HOME": "a/b"}])
def test_store_is_the_same_in_each_folder(tmp_path: Path, environment: dict[str, str | None]) -> None:
    ran = run_shell("incamera store path", tmp_path, **{"INCAMERA_STORE": None, "XDG_DATA_HOME": None, **environment})
    assert ran.stdout.startswith("/")
    assert ran.stdout.endswith("/.local/share/incamera\n")
    assert not ran.stdout.startswith("/.local")
