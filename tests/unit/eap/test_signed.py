"""A signed package is the built one with a signature behind it, and nothing else is taken for it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from tests.schemas import check_output
from tests.unit.archives.hostile import tar
from tests.unit.eap.test_inspect import PLAIN, signature

from incamera.__main__ import main
from incamera.console import Console
from incamera.context import Context
from incamera.errors import ConfigError, ToolFailed
from incamera.project.loading import load_project
from incamera.workflows.package_sign import require_sign_command, sign_package

BUILT = gzip.compress(tar(PLAIN))
OTHER = BUILT[:40] + bytes([BUILT[40] ^ 1]) + BUILT[41:]


@pytest.mark.parametrize(
    ("signed", "problem"),
    [
        (BUILT + signature(), ""),
        (BUILT, "it has no signature"),
        (BUILT[:-5], "is shorter than"),
        (OTHER + signature(), "at byte 40: it was made of another package"),
        (BUILT + signature()[:-1], "an incomplete one"),
        (BUILT + b"x" * 100, "is no signature"),
        (BUILT + b"\0" * 100_000, "is no signature"),
        (b"", "is shorter than"),
    ],
)
def test_built_file_must_be_the_beginning_of_the_signed_one(
    tmp_path: Path, signed: bytes, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "built.eap").write_bytes(BUILT)
    (tmp_path / "signed.eap").write_bytes(signed)
    arguments = ["inspect", "--json", str(tmp_path / "signed.eap"), "--signed-from", str(tmp_path / "built.eap")]
    code = main(arguments)
    output = capsys.readouterr().out
    check_output(arguments, output)
    found = json.loads(output)["signed_from"]
    assert problem in found["problem"]
    assert (code == 0, found["matches"]) == (not problem, not problem)


def test_missing_built_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "signed.eap").write_bytes(BUILT + signature())
    assert main(["inspect", str(tmp_path / "signed.eap"), "--signed-from", str(tmp_path / "gone.eap")]) == 2
    assert "gone.eap" in capsys.readouterr().err


def write_project(folder: Path, command: str) -> Path:
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "lamp"\nversion = "1"\n[tool.incamera]\nentry = "app.py"\n'
        f"[tool.incamera.package]\nsign-command = '{command}'\n"
    )
    (folder / "lamp.eap").write_bytes(BUILT)
    (folder / "signature").write_bytes(signature())
    return folder / "lamp.eap"


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ('cat "$1" signature > "$2"', ""),
        ("echo no >&2; exit 3", "no"),
        ("true", "has not written"),
        ('cat signature "$1" > "$2"', "differs from"),
        ('cp "$1" "$2"', "has no signature"),
    ],
)
def test_what_the_sign_command_wrote_is_checked(tmp_path: Path, script: str, problem: str) -> None:
    built = write_project(tmp_path, "sh sign.sh {package} {signed}")
    (tmp_path / "sign.sh").write_text(script)
    (tmp_path / "lamp_signed.eap").write_text("of yesterday")
    project, context = load_project(tmp_path), Context.open(Console(quiet=True))
    command = require_sign_command(project)
    if problem:
        with pytest.raises(ToolFailed) as failed:
            sign_package(context, project, command, built)
        assert problem in f"{failed.value} {failed.value.tail}"
        assert not (tmp_path / "lamp_signed.eap").exists()
    else:
        assert sign_package(context, project, command, built).read_bytes() == BUILT + signature()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "sign-command is not set"),
        ("./sign.sh {package}", "has no {signed}"),
        ("./sign.sh", "has no {package}"),
        ('./sign.sh "{package} {signed}', "no closing quotation"),
    ],
)
def test_sign_command_that_cannot_be_is_an_error(tmp_path: Path, command: str, message: str) -> None:
    write_project(tmp_path, command)
    with pytest.raises(ConfigError, match=message):
        require_sign_command(load_project(tmp_path))
