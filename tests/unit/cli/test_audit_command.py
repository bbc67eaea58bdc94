"""`incamera audit` on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.__main__ import main

if TYPE_CHECKING:
    import pytest


def test_graph_of_an_unknown_format_is_refused_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--graph", "needs.svg"]) == 2
    message = capsys.readouterr().err
    assert "--graph needs.svg: the name must end with .dot or .html" in message
    assert "dot -Tsvg" in message
