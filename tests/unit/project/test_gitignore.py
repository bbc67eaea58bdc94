"""Patterns in the syntax of .gitignore: the answers of git 2.39 to the same questions."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from incamera.project.app_files import AppFiles
from incamera.project.gitignore import parse_pattern


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("a.txt", "a.txt sub/a.txt a.txt/", "xa.txt a_txt"),
        ("/a", "a a/", "sub/a"),
        ("sub/a", "sub/a", "x/sub/a"),
        ("logs/", "logs/ x/logs/", "logs"),
        ("*.py[co]", "x.pyc sub/x.pyo", "x.py x.pyd"),
        ("*", "a a/ sub/b", ""),
        ("a?c", "abc", "ac a/c"),
        ("doc/*.txt", "doc/a.txt", "doc/sub/a.txt a.txt"),
        ("**/logs", "logs a/b/logs", "xlogs"),
        ("logs/**", "logs/a logs/a/b", "logs logs/"),
        ("a/**/b", "a/b a/x/b a/x/y/b", "ab b"),
        ("a**b", "ab axxb", ""),
        ("[!a-c]x", "dx", "ax /x"),
        ("[]x]", "] x", "y"),
        ("[[:digit:]_]", "7 _", "a"),
        ("\\!x", "!x", "x"),
        ("\\#x", "#x", "x"),
        ("x\\ ", "x ", ""),
        ("x   ", "x", ""),
        ("a\\*", "a*", "ab"),
    ],
)
def test_pattern_matches_what_git_says(pattern: str, matches: str, others: str) -> None:
    parsed = parse_pattern(pattern)
    assert parsed is not None
    assert [
        path for path in ([matches] if matches.endswith(" ") else matches.split()) if not parsed.matches(path)
    ] == []
    assert [path for path in others.split() if parsed.matches(path)] == []


@pytest.mark.parametrize("line", ["!", "/", "[a", "a\\", "[[:none:]]"])
def test_what_is_no_pattern_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        parse_pattern(line)


@pytest.mark.starts_processes
def test_random_files_are_those_that_git_lists(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    chance = random.Random(7)
    names = ("a", "b", "c", "x.py", "y.txt", "data")
    for number in range(12):
        folder = tmp_path / str(number)
        for _ in range(30):
            path = folder.joinpath(*(chance.choice(names) for _ in range(chance.randint(1, 4))))
            if not path.exists() and not any(parent.is_file() for parent in path.parents):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
        folders = [Path(parent) for parent, _, _ in os.walk(folder)]
        for place in [folder, *chance.sample(folders, min(2, len(folders)))]:
            (place / ".gitignore").write_text("\n".join(_random_pattern(chance) for _ in range(3)))
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        command = ["git", "-C", str(folder), "ls-files", "--others", "--exclude-per-directory=.gitignore"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert AppFiles(folder).find().files == sorted(path for path in listed if not path.endswith(".gitignore"))


def _random_pattern(chance: random.Random) -> str:
    parts = ("a", "b", "c", "*.py", "y.txt", "data", "*", "**", "?", "x*", "[ab]", "[!ab]*")
    text = "/".join(chance.choice(parts) for _ in range(chance.choice((1, 1, 1, 2, 2, 3))))
    return chance.choice(("", "", "!")) + chance.choice(("", "", "/")) + text + chance.choice(("", "", "/"))
