"""`incamera audit` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.__main__ import main
from incamera.workflows import audit, audit_file


def test_graph_of_an_unknown_format_is_refused_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--graph", "needs.svg"]) == 2
    message = capsys.readouterr().err
    assert "--graph needs.svg: the name must end with .dot or .html" in message
    assert "dot -Tsvg" in message


@pytest.mark.parametrize(
    ("files", "is_project"),
    [
        (["pyproject.toml", "app.py"], True),
        (["pyproject.toml", "package.conf"], False),
        (["pyproject.toml", "etc/launcher"], False),
        (["app.py"], False),
    ],
)
def test_folder_of_a_project_is_audited_as_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], is_project: bool
) -> None:
    """`incamera audit .` in a project says something about its bundle, and not about its sources."""
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('[project]\nname = "see"\n' if name == "pyproject.toml" else "")
    called: list[str] = []

    def stop(name: str) -> None:
        called.append(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "audit_project", lambda *_, **__: stop("project"))
    monkeypatch.setattr(audit_file, "audit_file", lambda *_, **__: stop("folder"))
    monkeypatch.chdir(tmp_path)
    main(["audit", "."])
    assert called == ["project" if is_project else "folder"]
