"""The documentation as a website: `make docs` builds it from the pages of `docs`, without a network."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

REPOSITORY = Path(__file__).parents[2]
_PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]

project = _PROJECT["name"]
version = release = _PROJECT["version"]
html_title = f"{project} {version}"
language = "en"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = ["docs/**.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/*/README.md"]
# The headings have the anchors that GitHub gives them, so that a link works there and here.
myst_heading_anchors = 6

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["narrow.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
# The examples of JSON leave parts out with an ellipsis, which is no JSON.
suppress_warnings = ["misc.highlighting_failure"]
pygments_style = "friendly"
pygments_dark_style = "native"
# It holds `index.html`, which leads to the first page.
html_extra_path = ["extra"]

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_LISTED = re.compile(r"^- \[[^\]]+\]\(([^)#:]+\.md)\)", re.MULTILINE)


def _add_navigation(_app: Sphinx, document: str, source: list[str]) -> None:
    """Make the navigation from the lists of `docs/index.md`. Sphinx warns of a page that is in none."""
    if document != root_doc:
        return
    _, *rest = _HEADING.split(source[0])
    for heading, section in zip(rest[::2], rest[1::2], strict=True):
        pages = "\n".join(_LISTED.findall(section))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{pages}\n```\n"
    source[0] += "\n```{toctree}\n:hidden:\n:caption: The project\n\n"
    source[0] += "\n".join(["../README.md", "../CHANGELOG.md", "../CONTRIBUTING.md", *_examples()]) + "\n```\n"


def _examples() -> list[str]:
    return [f"../{path.relative_to(REPOSITORY)}" for path in sorted(REPOSITORY.glob("examples/*/README.md"))]


def setup(app: Sphinx) -> None:
    app.connect("source-read", _add_navigation)
