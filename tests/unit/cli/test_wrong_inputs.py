"""Wrong names and files on the command line: one error that says what to type, and the exit code that the docs name."""

from pathlib import Path

import pytest

from incamera.__main__ import main

PROJECT = '[project]\nname = "bell"\nversion = "1"\ndependencies = ["attrs"]\n\n[tool.incamera]\nentry = "app.py"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INCAMERA_DEVICE", raising=False)
    folder = tmp_path / "bell"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "app.py").write_text("print()\n")
    (folder / "sub").mkdir()
    (folder / "notes").write_text("x")
    (folder / "latin.py").write_bytes(b"# \xe4\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("typed", "code", "message", "hint"),
    [
        # What was typed is wrong, or names nothing: 2.
        (["run", "-C", "nowhere"], 2, "there is no folder", ""),
        (["run", "-C", "notes"], 2, "notes is not a folder", "--project names"),
        (["lock", "--target", "mips"], 2, '--target: unknown architecture "mips"', "armv7hf"),
        (["build", "--target", "armv7hf-cp399"], 2, "--target: no Debian suite has Python 3.99", "3.11"),
        (["audit", "notes", "--target", "mips"], 2, '--target: unknown architecture "mips"', "armv7hf"),
        (["audit", "notes"], 2, "neither an ELF file nor a wheel", "the project's own bundle"),
        (["virtual", "start", "axis-os-99"], 2, 'unknown profile "axis-os-99"', "axis-os-11-armv7hf"),
        (
            ["add", "--script", "nope.py", "attrs"],
            2,
            "there is no file nope.py",
            "Python files there: app.py, latin.py",
        ),
        (["add", "--script", "sub", "attrs"], 2, "sub is a folder", "name a file"),
        (["add", "./sub"], 2, "has no package in it", "the folder of a project"),
        (["add", "attrs", "--group", "a b"], 2, '"a b" cannot be the name of a dependency group', "letters"),
        (["install", "nope.eap", "--device", "gate"], 2, "cannot install nope.eap: it does not exist", ".eap"),
        (["install", "sub", "--device", "gate"], 2, "cannot install sub: it is not a file", ".eap"),
        (["install", "numpy", "--device", "gate"], 2, "cannot install numpy: it does not exist", "incamera add numpy"),
        (["python", "list"], 2, 'there is no file "list" in', "--target armv7hf-cp313"),
        (["virtual", "stop", "all"], 2, 'no virtual camera called "all" is running', "--all stops all"),
        (["top", "--flame", "nowhere/out.svg"], 2, "--flame: there is no folder nowhere", "make it"),
        (["top", "--seconds", "3"], 2, "--seconds is for --flame", "--flame FILE.svg --seconds"),
        (["top", "--pid", "3"], 2, "--pid is for --flame", "leave it out"),
        (["top", "--flame", "out.svg", "--once"], 2, "--flame and --once cannot be used together", "--once"),
        (["top", "--every", "1e9"], 2, "--every 1e+09: the number must be greater than 0, and at most 3600", ""),
        (["top", "--flame", "out.svg", "--seconds", "0"], 2, "--seconds 0: the number must be greater than 0", ""),
        (["uninstall", "--app", "bell", "--device", "gate"], 2, 'there is no device "gate"', "device add gate https"),
        (["logs", "--since", "soon"], 2, '--since "soon" is not a time', "10m"),
        (["logs", "--list", "--follow"], 2, "--list and --follow cannot be used together", "leave out one"),
        (["logs", "--list", "--run", "2"], 2, "--list and --run cannot be used together", "leave out one"),
        (["ps", "--device", "a b"], 2, 'there is no device "a b"', "axis-os-13-aarch64\n"),
        (["ps", "--device", "lobby"], 2, 'there is no device "lobby"', "incamera device add lobby [USER@]HOST"),
        (["share", "add", "nas", "--folder=sub", "--address=a", "--password-file=no"], 2, "cannot read", "line"),
        (["share", "serve", "sub", "--address", "999.1.1.1"], 2, "cannot serve on 999.1.1.1", "ip address"),
        # A file is wrong: 3.
        (["new", "numpy"], 3, 'needs the package "numpy"', "numpy-app"),
        (["run", "https://example.org/x.py"], 2, "a script is not fetched from the web", "download it"),
        (["run", "latin.py"], 3, "this is not UTF-8", "coding"),
    ],
)
def test_error_says_what_is_wrong_and_what_to_type(
    typed: list[str], code: int, message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in shown.err
    assert hint in shown.err.partition("hint: ")[2]
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("file", "typed"),
    [
        ("pyproject.toml", ["lock"]),
        ("pyproject.toml", ["init", "-y"]),
        ("pylock.armv7hf-cp311.toml", ["lock", "--explain", "attrs"]),
        ("../store/devices/devices.toml", ["device", "list"]),
    ],
)
def test_file_that_is_not_utf_8_is_named(
    file: str, typed: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xfe[")
    assert main(typed) == 3
    message = capsys.readouterr().err
    assert path.name in message
    assert "this is not UTF-8" in message
    assert "codec" not in message


def test_unknown_device_of_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INCAMERA_DEVICE", "lobby")
    for command in (["run"], ["ps"], ["deploy"]):
        assert main(command) == 2
        assert 'there is no device "lobby", which INCAMERA_DEVICE names' in capsys.readouterr().err


def test_entry_that_cannot_be_opened_is_not_suggested(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "app.py").unlink()
    (folder / "app.py").symlink_to("app.py")
    assert main(["build"]) == 3
    message = capsys.readouterr().err
    assert 'there is no file "app.py"' in message
    assert "did you mean" not in message
    assert "Python files: latin.py" in message


def test_package_index_that_is_no_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "nonsense")
    monkeypatch.setenv("INCAMERA_DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
    assert main(["lock"]) == 3
    message = capsys.readouterr().err
    assert "the package index nonsense cannot be one" in message
    assert "PIP_INDEX_URL" in message
