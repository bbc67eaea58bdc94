"""`make docs`: the documentation as a website."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.matrix
def test_site_is_built_offline_with_search_and_with_links_that_lead_somewhere(tmp_path: Path) -> None:
    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("needs what `make docs` installs")
    options = ("--quiet", "--fail-on-warning", "--keep-going", "--nitpicky", "-c", "docs/site", "-b", "html")
    folders = ("-d", tmp_path / "trees", ".", tmp_path / "site")
    # Whatever would be fetched would be asked of a proxy that is not there.
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *folders],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "site"
    assert {page.stem for page in (REPOSITORY / "docs").rglob("*.md")} <= {page.stem for page in site.rglob("*.html")}
    assert "first-app" in (site / "searchindex.js").read_text("utf-8")
    assert (site / "search.html").is_file()
    assert (site / "index.html").is_file()
