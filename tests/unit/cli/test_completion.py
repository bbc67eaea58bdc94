"""Completion offers choices for words and file names for paths."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.__main__ import main
from incamera.console import Console
from incamera.context import Context
from incamera.workflows.names import find_names


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["share", "att"], ["attach"]),
        (["deploy", "--to", "s"], ["sdcard", "share"]),
        (["run", "--form", "sq"], ["squashfs"]),
        (["share", "serve", "cam"], ["camera"]),
        (["share", "add", "--password-file", "pass"], ["password"]),
        (["run", "-C", "cam"], ["camera"]),
        (["top", "--flame", "out"], ["out.svg"]),
        (["share", "attach", "cam"], []),  # a share's name is not a path
    ],
)
def test_tab_completes(
    words: list[str], offered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("password", "out.svg"):
        (tmp_path / name).touch()
    (tmp_path / "camera").mkdir()
    assert main(["completion", "bash"]) == 0
    line = " ".join(["incamera", *words])
    ask = f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _shtab_incamera; echo "${{COMPREPLY[@]}}"'
    script = f"{capsys.readouterr().out}\n{ask}"
    answer = subprocess.run(["bash", "-c", script], cwd=tmp_path, text=True, capture_output=True, check=True)
    assert sorted(answer.stdout.split()) == offered


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["run", "--device", "lo"], ["lobby", "lodge"]),
        (["device", "remove", "lob"], ["lobby"]),
        (["build", "--target", "aarch64-"], ["aarch64-cp311", "aarch64-cp313"]),
        (["audit", "--profile", "axis-os-10-arm"], ["axis-os-10-armv7hf"]),
        (["lock", "--upgrade", "pi"], []),  # there is no lockfile
        (["help", "comp"], ["completion"]),
        (["run", "bl"], ["blink.py"]),
        (["lock", "--script", "bl"], ["blink.py"]),
    ],
)
def test_tab_completes_names_that_the_tool_knows(
    words: list[str], offered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blink.py").touch()
    (tmp_path / "store" / "devices").mkdir(parents=True)
    for name in ("lobby", "lodge"):
        with (tmp_path / "store" / "devices" / "devices.toml").open("a") as stream:
            stream.write(f'[{name}.ssh]\nhost = "192.0.2.1"\n')
    assert main(["completion", "bash"]) == 0
    tool = f'incamera() {{ "{sys.executable}" -m incamera "$@"; }}'
    line = " ".join(["incamera", *words])
    ask = f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _shtab_incamera; echo "${{COMPREPLY[@]}}"'
    script = f"{capsys.readouterr().out}\n{tool}\n{ask}"
    environment = {**os.environ, "INCAMERA_STORE": str(tmp_path / "store")}
    answer = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, text=True, capture_output=True, check=True, env=environment
    )
    assert (sorted(answer.stdout.split()), answer.stderr) == (offered, "")


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("incamera ls ", [":data/", "lobby:data/"]),
        ("incamera ls :", ["data/"]),
        ("incamera cat lobby:da", ["data/"]),
        ("incamera rm :data/x", []),  # no connection to the camera is kept open
        ("incamera cp :d", ["data/"]),
        ("incamera cp bl", ["blink.py"]),
        ("incamera cp blink.py :d", ["data/"]),
    ],
)
def test_tab_completes_paths_in_the_camera(
    line: str, offered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blink.py").touch()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "bell"\n')
    (tmp_path / "store" / "devices").mkdir(parents=True)
    (tmp_path / "store" / "devices" / "devices.toml").write_text('[lobby.ssh]\nhost = "192.0.2.1"\n')
    tool = tmp_path / "bin" / "incamera"
    tool.parent.mkdir()
    # A busy computer may need more than the 2 s after which the shell goes on.
    for name, call in (("incamera", f'exec "{sys.executable}" -m incamera "$@"'), ("timeout", 'shift; exec "$@"')):
        (tool.parent / name).write_text(f"#!/bin/sh\n{call}\n")
        (tool.parent / name).chmod(0o755)
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out.replace("compopt", ": compopt")  # which only completion itself may call
    words = " ".join(f"'{word}'" for word in re.findall(r"[^\s:]+|:|(?<=\s)$", line))  # as bash splits it
    ask = f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
    environment = {
        **os.environ,
        "INCAMERA_STORE": str(tmp_path / "store"),
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
    }
    answer = subprocess.run(
        ["bash", "-c", f'{script}\n{ask}\n_incamera; printf "%s\\n" "${{COMPREPLY[@]}}"'],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=True,
        env=environment,
    )
    assert (sorted(answer.stdout.split()), answer.stderr) == (offered, "")


def test_packages_of_the_project_are_known(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "bell"\ndependencies = ["numpy>=1", "Pillow; os_name == \'posix\'"]\n'
    )
    context = Context.open(Console(), {"INCAMERA_STORE": str(tmp_path / "store")})
    assert find_names(context, "packages", tmp_path) == ["Pillow", "numpy"]
    (tmp_path / "pyproject.toml").write_text("[tool.incamera]\nfaulty = 1\n")
    assert find_names(context, "packages", tmp_path) == []


def test_fish_gets_commands_options_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()

    def line(*parts: str) -> bool:
        return any(all(part in line for part in parts) for line in lines)

    assert line("'__incamera_at --exactly'", "-a run ")
    assert line("'__incamera_at --exactly device'", "-a list ")
    assert line("'__incamera_at run'", "-l device -x -a '(incamera completion --names devices 2>/dev/null)'")
    assert line("'__incamera_at run'", "-l to -x -a 'ram ")
    assert line("'__incamera_at run'", " -F -d 'run this file")
    assert line("'__incamera_at run'", "-l watch -d 'reload")
    assert line("'__incamera_at virtual start'", "-a '(incamera completion --names profiles 2>/dev/null)'")
    assert not line("SUPPRESS")
    # A quote in a description would end it.
    assert all(re.sub(r"\\.", "", line).count("'") % 2 == 0 for line in lines)


def test_zsh_takes_the_script_from_eval_and_from_a_sourced_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    assert "if [[ $zsh_eval_context[-1] == (eval|file) ]]; then" in capsys.readouterr().out


def test_audit_completes_profiles_without_a_virtual_camera(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "--names", "audited-profiles"]) == 0
    assert "axis-os-13-armv7hf" in capsys.readouterr().out.split()


# In another zsh, which has a terminal.
_IN_ZSH = """
zmodload zsh/zpty
zpty shell "$ZSH" -f -i
zpty -w shell 'autoload -Uz compinit; compinit -D -u; zstyle ":completion:*" verbose no'
zpty -w shell 'source ./script; PS1="read""y> "'
zpty -r -m shell before '*ready> *'
zpty -w shell "$1"$'\\t\\C-u'"print fin''ished"
zpty -r -m shell listed '*finished*'
print -r -- "$listed"
"""


@pytest.mark.starts_processes
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("incamera devices ", ["add", "clean", "discover", "info", "list", "remove"]),
        ("incamera devices info --no", ["--no-speed"]),
        ("incamera stores ver", ["verify"]),
        ("incamera connection cl", ["close"]),
        ("incamera devic", ["device"]),
    ],
)
def test_other_names_of_groups_complete_as_their_own_and_are_not_offered(
    line: str, offered: list[str], shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"needs {shell}")
    assert main(["completion", shell]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    words = line.split(" ")
    in_bash = f"""
        source ./script
        compopt() {{ :; }}
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({" ".join(word or "''" for word in words)})
        COMP_CWORD={len(words) - 1}
        _incamera
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    in_fish = f"source ./script; function incamera; end; complete -C '{line}' | cut -f 1"
    call = {"bash": in_bash, "fish": in_fish, "zsh": _IN_ZSH}[shell]
    answer = subprocess.run(
        [path, *(["--no-config"] if shell == "fish" else []), "-c", call, shell, line],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=True,
        env={**os.environ, "ZSH": path, "HOME": str(tmp_path), "TERM": "dumb", "COLUMNS": "200"},
    )
    if shell == "zsh":  # what it shows below the line, or in it
        found = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", answer.stdout)
        assert [word for word in offered if word not in found] == []
        assert "devices" not in found or "devices" in line
    else:
        assert (sorted(answer.stdout.split()), answer.stderr) == (offered, "")
