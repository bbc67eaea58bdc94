"""Which files belong to an app: .gitignore files and `exclude`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from incamera.errors import ConfigError
from incamera.project.app_files import AppFiles, LeftOut
from incamera.project.entry_check import checked_entry
from incamera.project.files import files_digest
from incamera.project.left_out import describe_exclusion, describe_left_out, find_import_warnings
from incamera.project.loading import load_project

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(*paths: str, at: str = "app", **texts: str) -> Path:
        """Make the folder *at* with *paths*, each a file with its own name in it or, before a colon, its text."""
        folder = tmp_path / at
        for item in paths:
            path, _, text = item.partition(":")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text or path)
        return folder

    return make


def found(folder: Path, *exclude: str) -> list[str]:
    return AppFiles(folder, exclude=exclude).find().files


def test_what_is_neither_a_file_nor_a_folder_does_not_belong_to_the_app(make: Make) -> None:
    folder = make("app.py")
    os.mkfifo(folder / "pipe")
    for name, target in {"zero": "/dev/zero", "alias.py": "app.py"}.items():
        (folder / name).symlink_to(target)
    assert found(folder) == ["alias.py", "app.py"]


@pytest.mark.parametrize("target", ["nowhere", "data.bin"])
def test_link_that_leads_nowhere_is_an_error(make: Make, target: str) -> None:
    folder = make("app.py")
    (folder / "data.bin").symlink_to(target)
    with pytest.raises(ConfigError, match=r"data\.bin, which belongs to the app"):
        files_digest(folder, found(folder))


def test_gitignore_files_leave_out_what_git_ignores(make: Make) -> None:
    folder = make(
        ".gitignore:*.log\r\n/models/\n!keep.log\n# app.py\ndata/*\n!data/small.csv\n\\#odd\n!\n",
        "lib/.gitignore:secret.py\n/top.py\n!wanted.log\n",
        *("app.py", "run.log", "keep.log", "models/net.tflite", "lib/models/own.py", "data/big.bin", "data/small.csv"),
        *(
            "lib/secret.py",
            "lib/deep/secret.py",
            "lib/top.py",
            "lib/deep/top.py",
            "lib/wanted.log",
            "lib/a.log",
            "#odd",
        ),
    )
    assert found(folder) == [
        *("app.py", "data/small.csv", "keep.log", "lib/deep/top.py", "lib/models/own.py", "lib/wanted.log"),
    ]


def test_file_in_an_ignored_folder_stays_out_as_in_git(make: Make) -> None:
    folder = make(".gitignore:cache/\n!cache/one.py\n", "cache/.gitignore:!*\n", "cache/one.py", "app.py")
    assert found(folder) == ["app.py"]


def test_exclude_leaves_out_and_brings_back_what_git_ignores(make: Make) -> None:
    folder = make(".gitignore:models/\n*.so\n", "app.py", "models/a.tflite", "models/b.bin", "fast.so", "films/x.mp4")
    assert found(folder) == ["app.py", "films/x.mp4"]
    assert found(folder, "films/") == ["app.py"]
    assert found(folder, "!models/a.tflite", "!fast.so") == ["app.py", "fast.so", "films/x.mp4", "models/a.tflite"]
    assert found(folder, "!models/", "*.bin") == ["app.py", "films/x.mp4", "models/a.tflite"]
    assert found(folder, "!*") == ["app.py", "fast.so", "films/x.mp4", "models/a.tflite", "models/b.bin"]
    assert found(folder, "films/*", "!films/x.mp4") == ["app.py", "films/x.mp4"]


def test_repository_around_the_project_counts_unless_it_ignores_the_project(make: Make, tmp_path: Path) -> None:
    make(".git/HEAD", ".gitignore:*.bin\n/apps/app/big.txt\n", "apps/.gitignore:!keep.bin\n", at=".")
    folder = make("app.py", "a.bin", "keep.bin", "big.txt", at="apps/app")
    assert found(folder) == ["app.py", "keep.bin"]
    (tmp_path / ".gitignore").write_text("*\n")
    assert found(folder) == ["a.bin", "app.py", "big.txt", "keep.bin"]
    (tmp_path / ".gitignore").write_text("*.bin\n")
    (folder / ".git").mkdir()
    assert found(folder) == ["a.bin", "app.py", "big.txt", "keep.bin"]


def test_changed_gitignore_takes_effect(make: Make) -> None:
    folder = make(".gitignore:a.txt\n", "sub/.gitignore:x\n", "a.txt", "b.txt", "sub/x", "sub/y")
    files = AppFiles(folder)
    assert files.find().files == ["b.txt", "sub/y"]
    (folder / ".gitignore").write_text("b.txt\n/sub/y\n")
    assert files.find().files == ["a.txt"]
    (folder / "sub/.gitignore").unlink()
    assert files.find().files == ["a.txt", "sub/x"]


def test_watching_asks_the_same_question_as_finding(make: Make) -> None:
    folder = make(
        ".gitignore:gone/\nmodels/\n*.log\n", "lib/.gitignore:x.py\n", "app.py", "lib/x.py", "models/a", "a.log"
    )
    files = AppFiles(folder, exclude=["films/", "!models/b"], always=["lib/x.py"])
    wanted = ["app.py", "new.py", "lib/x.py", ".gitignore", "lib/.gitignore", "models/b"]
    assert [path for path in wanted if not files.concerns(path)] == []
    left_out = [
        "gone",
        "gone/x",
        "models/a",
        "a.log",
        "films/x",
        ".",
        ".git/index",
        "lib/deep/x.py",
        "build/.gitignore",
    ]
    assert [path for path in left_out if files.concerns(path)] == []
    assert files.explain("a.log") == LeftOut("a.log", ".gitignore", "*.log")


def test_unreadable_gitignore_is_reported(make: Make) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    folder = make(".gitignore:x", "app.py")
    (folder / ".gitignore").chmod(0)
    with pytest.raises(ConfigError, match=r"cannot read .*\.gitignore"):
        found(folder)


PROJECT = '[project]\nname = "app"\n'


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ('["\\\\"]', "is not a pattern"),
        ('["!.env"]', "brings nothing back"),
        ('["!build/"]', "brings nothing back"),
        ('"models"', "must be a list of strings"),
    ],
)
def test_pattern_without_effect_is_refused(make: Make, exclude: str, message: str) -> None:
    folder = make(f"pyproject.toml:{PROJECT}[tool.incamera]\nexclude = {exclude}\n")
    with pytest.raises(ConfigError, match=message):
        load_project(folder)


def test_back_end_gets_what_git_ignores_but_not_what_exclude_names(make: Make) -> None:
    settings = '[build-system]\nrequires = []\n[tool.incamera]\nentry = "run.py"\nexclude = ["films/", "run.py"]\n'
    folder = make(
        f"pyproject.toml:{PROJECT}{settings}", ".gitignore:_version.py\n", "src/_version.py", "films/x", "run.py"
    )
    project = load_project(folder)
    assert project.find_files() == ["pyproject.toml", "run.py", "src/_version.py"]
    assert project.app_files().is_excluded("films/")
    assert not project.app_files().is_excluded("src/_version.py")
    assert not project.app_files().is_excluded("dist/")  # the copy for a build has rules of its own for these


def test_entry_is_sent_though_git_ignores_it(make: Make) -> None:
    folder = make(f"pyproject.toml:{PROJECT}", ".gitignore:app.py\n", "app.py", "other.py")
    assert "app.py" in load_project(folder).find_files()


@pytest.mark.parametrize("path", ["gen/__main__.py", "gen.py"])
def test_entry_module_that_is_left_out_is_refused_with_the_remedy(make: Make, path: str) -> None:
    folder = make(f'pyproject.toml:{PROJECT}[tool.incamera]\nentry = "gen"\n', ".gitignore:/gen*\n", f"{path}:print()")
    with pytest.raises(ConfigError, match=r'is not sent to the camera, because of "/gen\*" in \.gitignore') as caught:
        checked_entry(load_project(folder))
    assert str(caught.value.hint).startswith('write exclude = ["!gen')


def test_imported_modules_that_are_left_out_are_warned_of_with_what_brings_them_back(make: Make) -> None:
    folder = make(
        ".gitignore:generated/\n*.so\nscratch.py\nhelper.py\nlogs/\nlib/own.py\n",
        "app.py:import json, generated.table\nfrom lib import own, fast\nimport quick",
        "tools/check.py:import helper",
        *(
            "generated/table.py",
            "lib/__init__.py",
            "lib/own.py",
            "lib/fast.py",
            "lib/fast.cpython-311-x86_64-linux-gnu.so",
        ),
        *("quick.cpython-311-arm-linux-gnueabihf.so", "scratch.py", "tools/helper.py", "logs/today.txt"),
    )
    files = AppFiles(folder).find()
    assert describe_left_out(files) == (
        "not sent to the camera, because git ignores it: generated/, lib/fast.cpython-311-x86_64-linux-gnu.so, "
        "lib/own.py, logs/, quick.cpython-311-arm-linux-gnueabihf.so, scratch.py, tools/helper.py"
    )
    warnings = find_import_warnings(folder, files)
    assert warnings == [
        'app.py imports generated/, which is not sent to the camera, because of "generated/" in .gitignore: '
        'write exclude = ["!generated/"] in [tool.incamera]',
        'app.py imports lib/own.py, which is not sent to the camera, because of "lib/own.py" in .gitignore: '
        'write exclude = ["!lib/own.py"] in [tool.incamera]',
        "app.py imports quick.cpython-311-arm-linux-gnueabihf.so, which is not sent to the camera, because of "
        '"*.so" in .gitignore: write exclude = ["!quick.cpython-311-arm-linux-gnueabihf.so"] in [tool.incamera]',
    ]
    (folder / "app.py").write_text("import json")
    assert [text.partition(",")[0] for text in find_import_warnings(folder, files)] == [
        "tools/check.py imports tools/helper.py"
    ]


@pytest.mark.parametrize("name", ["big.bin", "a [1]*.bin", "!x.bin", "#x.bin", 'back\\slash "quoted".bin'])
def test_shown_setting_leaves_out_that_file_alone(make: Make, name: str) -> None:
    setting = describe_exclusion(f"data/{name}").partition("exclude")[2].removesuffix(" in [tool.incamera]")
    folder = make(f"pyproject.toml:{PROJECT}[tool.incamera]\nexclude{setting}\n", f"data/{name}", "data/a 1x.bin")
    assert load_project(folder).find_files() == ["data/a 1x.bin", "pyproject.toml"]
