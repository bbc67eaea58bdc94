"""Commits of git repositories: what is fetched, and that nothing of a repository runs or leads out of its folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from incamera.build import git_checkout
from incamera.build.git_checkout import ensure_checkout, resolve_commit
from incamera.context import Context, SilentReporter
from incamera.errors import FetchError, ToolFailed
from incamera.project.git_source import GitAddress, GitSource
from incamera.store import Store

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Store(tmp_path / "store"), SilentReporter(), {})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose settings of git would run a program at each step, and lead to another protocol."""
    home = tmp_path / "home"
    hooks = home / "template" / "hooks"
    hooks.mkdir(parents=True)
    marker = home / "ran"
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {marker}\n")
        (hooks / name).chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[init]\ntemplateDir = {home / 'template'}\n[core]\nhooksPath = {hooks}\n"
        f'[filter "run"]\nsmudge = "touch {marker}; cat"\n'
        f'[url "ext::touch {marker} "]\ninsteadOf = https://other.example/\n'
        '[protocol "ext"]\nallow = always\n'
    )
    monkeypatch.setenv("HOME", str(home))
    return home


def git(folder: Path, *words: str) -> str:
    names = {f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run(["git", *words], cwd=folder, env=names | settings, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a link that leads out, a filter, a submodule, a branch `next` and an annotated tag `v1`."""
    folder = tmp_path / "repository"
    (folder / "py").mkdir(parents=True)
    (folder / "py/lamp.py").write_bytes(b"BRIGHT = 1\r\n")
    (folder / "py/run.sh").write_text("#!/bin/sh\n")
    (folder / "py/run.sh").chmod(0o755)
    (folder / "secret").symlink_to("/etc/hostname")
    (folder / ".gitattributes").write_text("*.py filter=run\n")
    (folder / ".gitmodules").write_text('[submodule "sub"]\npath = sub\nurl = https://other.example/sub\n')
    git(folder, "init", "--quiet", "--initial-branch=main", ".")
    git(folder, "add", ".")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(folder, "commit", "--quiet", "-m", "First")
    git(folder, "tag", "-a", "v1", "-m", "The first")
    git(folder, "checkout", "--quiet", "-b", "next")
    (folder / "py/lamp.py").write_bytes(b"BRIGHT = 2\n")
    git(folder, "commit", "--quiet", "-m", "Second", "py/lamp.py")
    return folder


def address(repository: Path, revision: str | None) -> GitAddress:
    return GitAddress(url=repository.as_uri(), revision=revision, subdirectory="", name=None)


def test_a_branch_a_tag_and_the_newest_commit_are_found(context: Context, repository: Path) -> None:
    first, second = git(repository, "rev-parse", "v1^{commit}"), git(repository, "rev-parse", "next")
    assert resolve_commit(context, address(repository, "v1")) == first != git(repository, "rev-parse", "v1")
    assert resolve_commit(context, address(repository, "main")) == first
    assert resolve_commit(context, address(repository, "next")) == second
    assert resolve_commit(context, address(repository, None)) == second
    with pytest.raises(FetchError, match="no branch and no tag v2"):
        resolve_commit(context, address(repository, "v2"))


def test_a_commit_is_fetched_and_nothing_of_it_runs_or_leads_out(
    context: Context, repository: Path, home: Path
) -> None:
    first = git(repository, "rev-parse", "v1^{commit}")
    folder = ensure_checkout(context, GitSource(url=repository.as_uri(), commit=first))
    assert (folder / "py/lamp.py").read_bytes() == b"BRIGHT = 1\r\n"
    assert os.access(folder / "py/run.sh", os.X_OK)
    assert not (folder / "secret").is_symlink()
    assert (folder / "secret").read_text() == "/etc/hostname"
    assert list((folder / "sub").iterdir()) == []
    assert not (home / "ran").exists()
    inner = GitSource(url=repository.as_uri(), commit=first, subdirectory="py")
    repository.rename(repository.with_name("gone"))  # what the store has is not asked for again
    assert ensure_checkout(context, inner) == folder / "py"
    with pytest.raises(FetchError, match="no folder nowhere"):
        ensure_checkout(context, GitSource(url=repository.as_uri(), commit=first, subdirectory="nowhere"))


def test_a_protocol_that_the_users_settings_put_in_place_is_not_used(context: Context, home: Path) -> None:
    source = GitSource(url="https://other.example/lamp", commit="1" * 40)
    with pytest.raises(ToolFailed) as error:
        ensure_checkout(context, source)
    assert "ext" in error.value.tail
    assert not (home / "ran").exists()


def test_a_commit_that_is_not_there_and_one_that_is_too_large_leave_nothing(
    context: Context, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolFailed, match="cannot fetch 222222222222"):
        ensure_checkout(context, GitSource(url=repository.as_uri(), commit="2" * 40))
    (repository / "large").write_bytes(os.urandom(300_000))
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "Large")
    source = GitSource(url=repository.as_uri(), commit=git(repository, "rev-parse", "HEAD"))
    monkeypatch.setattr(git_checkout, "_MAX_BYTES", 200_000)
    with pytest.raises(FetchError, match="more than"):
        ensure_checkout(context, source)
    assert context.store.find_tree(git_checkout.KIND, f"{source.commit}-1") is None
