"""Git URLs: what is taken, what is refused, and that no password gets into a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.errors import ConfigError
from incamera.project.git_source import GitSource, parse_git_address
from incamera.project.settings_parsing import parse_project

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "url", "revision", "subdirectory"),
    [
        ("git+https://example.com/lamp.git", "https://example.com/lamp.git", None, ""),
        (f"git+https://example.com/lamp@{COMMIT}", "https://example.com/lamp", COMMIT, ""),
        ("git+ssh://git@example.com/lamp.git", "ssh://git@example.com/lamp.git", None, ""),
        ("git+ssh://git@example.com:22/lamp.git@v1.0", "ssh://git@example.com:22/lamp.git", "v1.0", ""),
        ("git+file:///srv/lamp@a/b#subdirectory=py/lamp&egg=lamp", "file:///srv/lamp", "a/b", "py/lamp"),
    ],
)
def test_git_urls(text: str, url: str, revision: str | None, subdirectory: str) -> None:
    found = parse_git_address(text)
    assert (found.url, found.revision, found.subdirectory) == (url, revision, subdirectory)
    if revision == COMMIT:
        source = GitSource(url=found.url, commit=COMMIT)
        assert parse_git_address(str(source)).commit == COMMIT


@pytest.mark.parametrize(
    "text",
    [
        "git+ext::sh -c id",
        "git+ext::sh",
        "git+http://example.com/lamp",
        "git+git://example.com/lamp",
        "git+git@example.com:lamp.git",
        "git+/srv/lamp",
        "git+--upload-pack=id",
        "git+https://-oProxyCommand=id/lamp",
        "git+ssh://-oProxyCommand=id@example.com/lamp",
        "git+ssh://example.com:99999/lamp",
        "git+https://me:secret@example.com/lamp",
        "git+https://secret@example.com/lamp",
        "git+ssh://git:secret@example.com/lamp",
        "git+https://example.com/lamp@--upload-pack=id",
        "git+https://example.com/lamp@a b",
        "git+https://example.com/lamp?secret=1",
        "git+https://example.com/l\x1bamp",
        "git+https://example.com/lamp#subdirectory=../other",
        "git+https://example.com/lamp#subdirectory=/etc",
        "git+https://example.com/lamp#unknown=1",
        "git+file://host/lamp",
    ],
)
def test_refused_git_urls(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_git_address(text)
    assert "secret" not in f"{error.value} {error.value.hint}"


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"git": "https://example.com/lamp"}, "rev"),
        ({"git": "https://example.com/lamp", "rev": "main"}, "full commit"),
        ({"git": "https://example.com/lamp", "tag": "v1"}, "tag"),
        ({"git": "https://example.com/lamp", "rev": COMMIT, "lfs": True}, "lfs"),
        ({"git": "ext::id", "rev": COMMIT}, "https"),
    ],
)
def test_a_source_without_a_full_commit_is_refused(entry: dict[str, object], named: str, tmp_path: Path) -> None:
    table = {
        "project": {"name": "a", "dependencies": ["lamp"]},
        "tool": {"uv": {"sources": {"lamp": entry}}, "incamera": {"entry": "a"}},
    }
    with pytest.raises(ConfigError, match=named):
        parse_project(table, tmp_path)


def test_a_source_at_a_commit_is_taken(tmp_path: Path) -> None:
    entry = {"git": "https://example.com/lamp", "rev": COMMIT, "subdirectory": "py"}
    table = {
        "project": {"name": "a", "dependencies": ["Lamp"]},
        "tool": {"uv": {"sources": {"lamp": entry, "unused": {"git": "x"}}}, "incamera": {"entry": "a"}},
    }
    source = parse_project(table, tmp_path).git["lamp"]
    assert str(source) == f"git+https://example.com/lamp@{COMMIT}#subdirectory=py"
    assert source.to_table() == entry
