"""Folders of git repositories in the state of one commit, fetched with the user's git into the store."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import disk_usage
from incamera.errors import FetchError, ToolFailed
from incamera.proc import minimal_environment, run, running
from incamera.project.git_source import is_commit
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.git_source import GitAddress, GitSource

KIND = "checkouts"
_FORMAT = 1
_MAX_BYTES = 1_000_000_000
_SECONDS = 600
# Settings for each call: no hooks, no links, no files that are fetched from elsewhere while they are written.
_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false", "-c", "core.autocrlf=false"),
    *("-c", "core.fsmonitor=false", "-c", "submodule.recurse=false", "-c", "fetch.recurseSubmodules=false"),
    *(
        "-c",
        "fetch.fsckObjects=true",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
        "-c",
        "init.defaultBranch=main",
    ),
)
# Variables of the user's that a fetch may need: the agent of ssh, proxies, certificates.
_PASSED_ON = (
    *("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "XDG_CONFIG_HOME"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)


def resolve_commit(context: Context, address: GitAddress) -> str:
    """Return the commit that *address* names: a branch or a tag is asked for at the repository. Raises FetchError."""
    if address.commit is not None:
        return address.commit
    wanted = address.revision
    names = ["HEAD"] if wanted is None else [f"refs/heads/{wanted}", f"refs/tags/{wanted}", f"refs/tags/{wanted}^{{}}"]
    words = ["git", *_SETTINGS, "ls-remote", "--", address.url, *names]
    answer = _git(context, words, f"ask {address.url} for its commits")
    lines = [line.split("\t", 1) for line in answer.splitlines() if "\t" in line]
    found = {name: commit for commit, name in lines if is_commit(commit)}
    # An annotated tag is an object of its own; ^{} is the commit that it points to.
    for name in reversed(names):
        if name in found:
            return found[name]
    raise FetchError(
        f"{address.url} has no branch and no tag {wanted}" if wanted else f"{address.url} has no commits",
        hint="name a branch, a tag, or a full commit of 40 digits",
    )


def ensure_checkout(context: Context, source: GitSource) -> Path:
    """Return the folder of *source*, fetched if the store lacks it. Raises FetchError, ToolFailed.

    Links become small text files, and submodules stay empty: nothing leads out of the folder.
    """

    def fetch(tree: Path) -> None:
        with context.store.temporary() as scratch:
            repository = scratch / "repository"
            at = ["git", *_SETTINGS, "--git-dir", str(repository)]
            _git(context, [*at[:-2], "init", "--quiet", "--bare", "--template=", str(repository)], "begin a repository")
            _fetch(
                context,
                [*at, "fetch", "--quiet", "--depth=1", "--no-tags", "--", source.url, source.commit],
                repository,
            )
            work = ["--work-tree", str(tree)]
            quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}  # no filters of the user's
            checkout = [*at, "-c", "core.bare=false", *work, "checkout", "--quiet", "--force", source.commit, "--", "."]
            _git(context, checkout, f"unpack {source.commit[:12]}", quiet)
            if disk_usage(tree) > _MAX_BYTES:
                raise FetchError(f"{source.url} has more than {format_bytes(_MAX_BYTES)} of files")

    with context.reporter.step("git") as step:
        key = f"{source.commit}-{_FORMAT}"
        tree, step.cached = context.store.ensure_tree(KIND, key, fetch)
        step.note(f"{source.commit[:12]} of {source.url}")
    folder = tree / source.subdirectory
    if not folder.is_dir():
        raise FetchError(f"{source.url} has no folder {source.subdirectory}", hint="correct the subdirectory")
    return folder


def _fetch(context: Context, words: list[str], repository: Path) -> None:
    """Run the fetch *words*; end it when it takes too long or too much room."""
    url, commit = words[-2:]
    log = repository / "fetch.log"
    ends = time.monotonic() + _SECONDS
    with log.open("wb") as errors:
        with running(words, purpose=f"fetch {url}", env=_environment(context), stderr=errors.fileno()) as child:
            while child.poll() is None:
                if time.monotonic() > ends:
                    raise FetchError(f"{url} did not send {commit[:12]} within {_SECONDS} s", hint="try it again")
                if disk_usage(repository) > _MAX_BYTES:
                    raise FetchError(
                        f"{url} sends more than {format_bytes(_MAX_BYTES)}", hint="name a smaller repository"
                    )
                time.sleep(0.05)
        if child.returncode:
            tail = log.read_bytes()[-2000:].decode("utf-8", "replace").strip()
            raise ToolFailed(
                f"cannot fetch {commit[:12]} of {url}",
                hint="check that the commit is there, and that `git ls-remote` of that URL works without a password",
                tail=tail,
            )


def _git(context: Context, words: list[str], purpose: str, more: Mapping[str, str] | None = None) -> str:
    hint = "check the URL, and that git is installed and needs no password there"
    return run(words, purpose=purpose, env=_environment(context) | dict(more or {}), timeout=_SECONDS, hint=hint).text


def _environment(context: Context) -> dict[str, str]:
    passed = {key: value for key in _PASSED_ON if (value := context.environment.get(key))}
    passed.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    return minimal_environment(
        **passed, GIT_ALLOW_PROTOCOL="https:ssh:file", GIT_TERMINAL_PROMPT="0", GIT_LFS_SKIP_SMUDGE="1", LC_ALL="C"
    )
